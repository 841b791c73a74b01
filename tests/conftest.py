from hypothesis import settings

# No deadline: a busy machine is slow now and then. The same examples every time: a red test stays red.
settings.register_profile("corr2d", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("corr2d")
