"""Fronts for frameworks that own the training loop. One module a framework; each is imported only by who uses it.

They stand on `outlast.Run` and its `loop`: the framework's own state goes into the store, its data come from `feed`,
its steps end in `advance`.
"""
