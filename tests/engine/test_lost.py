"""Workers that are lost: what is said of it."""

from pipeline.engine.lost import reason_of


def test_the_reason_is_one_line_and_names_memory_and_limit_where_ray_ended_the_worker():
    text = (
        "The actor died unexpectedly before finishing this task.\n\tThe worker died due to memory pressure. "
        "Memory on the node (IP: 10.0.0.1, ID: ab12) was 22.91GB used / 24.00GB limit (0.954861), which exceeds the "
        "threshold.\nSee the docs."
    )
    assert reason_of(Exception(text)) == "out of memory: with 22.91GB of 24.00GB in use Ray ended the worker"
    assert reason_of(Exception("The actor died because its node has died. Node Id: ab")) == "its node was lost"
    assert reason_of(Exception("first\n  SIGKILL by kernel OOM\n")) == "worker lost: SIGKILL by kernel OOM"
    assert reason_of(Exception("")) == "worker lost: its worker died"
