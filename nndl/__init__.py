"""nndl: the optimisers that train neural networks, written to be read.

The building blocks (``nndl.op``), the update rules (``nndl.rules``), the optimisers that apply
them (``nndl.optimizer``), the experiments (``nndl.training``) and the pictures of the book
(``nndl.viz``). Importing ``nndl`` itself imports none of them, so it costs nothing.
"""

__version__ = "0.1.0"
