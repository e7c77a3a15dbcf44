"""Pictures of optimisers at work: maps, paths, surfaces, losses, sensitivity, basins, animations.

The functions follow matplotlib: they take ``ax=None``, draw on those axes and nothing else, and
return what they drew. ``use_style`` sets the look of the book.
"""

from nndl.viz.animation import Animation, animate_paths
from nndl.viz.basins import plot_basins, where_it_ends
from nndl.viz.contour import plot_contour
from nndl.viz.document import Visualization, Visualization3D
from nndl.viz.losses import plot_losses
from nndl.viz.path import plot_path
from nndl.viz.publish import publish, save_figure
from nndl.viz.sensitivity import plot_sensitivity, settling_steps
from nndl.viz.style import Style, style_of, styles_of, use_style
from nndl.viz.surface import plot_surface
from nndl.viz.triptych import plot_triptych

__all__ = [
    "Animation",
    "Style",
    "Visualization",
    "Visualization3D",
    "animate_paths",
    "plot_basins",
    "plot_contour",
    "plot_losses",
    "plot_path",
    "plot_sensitivity",
    "plot_surface",
    "plot_triptych",
    "publish",
    "save_figure",
    "settling_steps",
    "style_of",
    "styles_of",
    "use_style",
    "where_it_ends",
]
