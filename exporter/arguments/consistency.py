"""These functions check arguments of `export` that must fit each other."""

from __future__ import annotations

from ...runtime.session.engines.table import profile_of_engine
from ..errors import SettingsError, in_line
from ..graph.profiles import ProfileName, profile_of
from ..source.settings import ExportSettings


def check_images(settings: ExportSettings, *, used: bool, may_follow: bool = False) -> None:
    """Refuse images that nothing would look at, or that cannot be fed.

    Args:
        settings: With the training transform.
        used: Whether there is a verification or a report.
        may_follow: The transform may still follow from a file's metadata.

    Raises:
        SettingsError: There is neither a verification nor a report, or no training transform.
    """
    if not used:
        raise SettingsError(
            "images are to verify on and to show in a report; leave images (--images) out, or give "
            "verify='quick' or a report"
        )
    if settings.preprocess is None and not may_follow:
        raise SettingsError(
            "images cannot be fed without the training transform; give preprocess=... "
            "(--preprocess, or --mean and --std), or leave images (--images) out"
        )


def profile_for(profile: ProfileName | None, engine: str | None) -> ProfileName:
    """Return the profile of an export: the one that was given, or the one that its engine needs.

    Raises:
        SettingsError: The engine needs another one.
    """
    needed = profile_of_engine(engine)
    if profile is not None and needed is not None and profile != needed:
        raise SettingsError(
            f"profile {in_line(profile)} is not for engine {engine!r}; leave it out, or give "
            f"{needed!r}"
        )
    return profile or profile_of(needed or "default").name
