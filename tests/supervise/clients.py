"""Programs that save files, for the tests: what they do is asked for by files in their folder, so nothing is timed."""

COUNT = """
import os, shutil, sys
save, restored = os.environ["OUTLAST_SAVE"], os.environ.get("OUTLAST_RESTORE")
def saved(step, text=None, folder=False):
    os.makedirs(save, exist_ok=True)
    new = os.path.join(save, "new")
    if folder:
        os.makedirs(os.path.join(new, "in", "empty"))
        place = os.path.join(new, "in", "state")
    else:
        place = new
    with open(place, "w") as file:
        file.write(str(step) if text is None else text)
    os.rename(new, os.path.join(save, str(step)))
def begun():
    if restored is None:
        return 0
    assert os.environ["OUTLAST_STEP"] == open(os.path.join(restored, "state")).read()
    return int(os.environ["OUTLAST_STEP"])
def asked(name):
    return os.path.exists(os.path.join(control, name))
def heard(name):
    while not asked(name):
        time.sleep(0.01)
    os.unlink(os.path.join(control, name))
def gone(step):
    while os.path.exists(os.path.join(save, str(step))):
        time.sleep(0.01)
def done():
    open(os.path.join(control, "done"), "w").close()
"""
