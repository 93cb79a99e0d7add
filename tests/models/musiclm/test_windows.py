"""Windows cover a piece once, and each gives its end to the next."""

from hypothesis import given
from hypothesis import strategies as st

from models.musiclm.windows import Windowing


@given(length=st.integers(2, 60), share=st.integers(0, 59), frames=st.integers(1, 500))
def test_every_frame_is_made_once(length, share, frames):
    windowing = Windowing(length, min(share, length - 1))
    made, end = [], 0
    for window in windowing.over(frames):
        assert window.start + window.given == end  # it continues what was made
        assert window.length <= length
        made += range(window.start + window.given, window.end)
        end = window.end
    assert made == list(range(frames))
