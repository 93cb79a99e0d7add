"""What is said of a process that died."""

import pytest

from actors.deaths import cause_of_death

KILLED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: WorkerActor\n\tpid: 12\n\tip: 192.0.2.2\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
    "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) …"
)
NOT_IMPORTED = "The actor died because of an error raised in its creation task, \n…\nImportError: no module actors\n"


@pytest.mark.parametrize(
    ("words", "written", "cause"),
    [
        (KILLED, "", "Worker unexpectedly exits with a connection error code 2. End of file."),
        (
            KILLED,
            ":actor_name:WorkerActor\nImportError: libgomp.so.1\n[2026-11-29 04:53:04,601 E 1 2] logging.cc:474: *** "
            "SIGABRT received at time=1 on cpu 0 ***\n    @ 0x7f8e3045a050 (unknown)\nFatal Python error: Aborted\n",
            "Worker unexpectedly exits with a connection error code 2. End of file. "
            "It wrote last: ImportError: libgomp.so.1",
        ),
        (
            KILLED,
            "[2026-11-29 04:53:04,601 E 1 2] logging.cc:474: *** SIGSEGV received at time=1 on cpu 0 ***\n @ 0x7f\n",
            "Worker unexpectedly exits with a connection error code 2. End of file. "
            "It wrote last: *** SIGSEGV received",
        ),
        (
            KILLED,
            "no such library\n[2026-11-29 05:54:39,925 C 1 2] core_worker.cc:1: exited\n"
            "/lib/libc.so.6(+0x2724a) [0x7f8ee1e4524a]\nray::WorkerActor(_start+0x21) [0x55f342345081] _start\n\n",
            "Worker unexpectedly exits with a connection error code 2. End of file. It wrote last: no such library",
        ),
        (NOT_IMPORTED, "", "ImportError: no module actors"),
    ],
    ids=["killed", "with an error", "crashed", "with a stack", "not imported"],
)
def test_the_cause_of_a_death_is_a_line_without_guesses_and_stacks(tmp_path, words, written, cause):
    (tmp_path / "worker-ab-01-12.err").write_text(written)
    (tmp_path / "worker-cd-01-13.err").write_text("another's error\n")
    assert cause_of_death(words, tmp_path) == cause
