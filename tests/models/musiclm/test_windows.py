"""Windows cover a piece once, and each gives its end to the next."""

from hypothesis import given
from hypothesis import strategies as st

from models.musiclm.windows import Windowing


@given(length=st.integers(2, 60), share=st.integers(0, 59), frames=st.integers(1, 500))
def test_every_frame_is_made_once(length, share, frames):
    assert frames_of(Windowing(length, min(share, length - 1)), 0, frames) == list(range(frames))


@given(length=st.integers(2, 60), share=st.integers(0, 59), begin=st.integers(0, 300), frames=st.integers(1, 300))
def test_what_is_there_already_is_gone_on_from(length, share, begin, frames):
    windowing = Windowing(length, min(share, length - 1))
    assert frames_of(windowing, begin, begin + frames) == list(range(begin, begin + frames))
    assert next(windowing.over(begin, begin + frames)).given == min(begin, windowing.given)


def frames_of(windowing, begin, frames):
    made, end = [], begin
    for window in windowing.over(begin, frames):
        assert window.start + window.given == end  # it continues what was made
        assert window.length <= windowing.length
        made += range(window.start + window.given, window.end)
        end = window.end
    return made
