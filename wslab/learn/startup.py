"""Run by IPython as a kernel of ``wslab lab`` or Binder starts: waits for a lesson's failure.

A notebook that is opened again tomorrow has a kernel that knows nothing, not even wslab. Its rule:
it imports nothing of ours before that, leaves no name behind, and elsewhere (in a terminal) it is
silent. `missing` has the answer.
"""


def _wait_for_a_missing_name():  # type: ignore[no-untyped-def]
    import sys

    shell = globals().get("get_ipython", lambda: None)()
    if shell is None or getattr(shell, "_wslab_watches", False):
        return
    shell._wslab_watches = True

    def look(result):  # type: ignore[no-untyped-def]
        error = getattr(result, "error_in_exec", None)
        if isinstance(error, NameError) or (error is not None and "wslab.learn" in sys.modules):
            from wslab.learn.missing import answer

            answer(result)

    shell.events.register("post_run_cell", look)


_wait_for_a_missing_name()  # type: ignore[no-untyped-call]
del _wait_for_a_missing_name
