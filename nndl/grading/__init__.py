"""Grade hand-ins from strangers: their code runs behind walls, the comparing is done outside.

``nndl grade`` (``nndl.cli``) is the way in. ``grade`` takes one hand-in, ``pool`` and ``cluster``
take many, ``sandbox`` and ``isolate`` are the walls, ``worker`` is what runs behind them and
``wire`` what goes through.
"""
