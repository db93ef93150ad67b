"""What Overview, Predict and Compare share about trained runs."""

from pathlib import Path

from fusion.city import City
from fusion.serving.comparison import Comparison, compare_runs
from fusion.training.runs import RUN_FILES
from pages.ui import caches, components
from pages.ui.language import t


def comparison(city: City, key: str | None = None) -> Comparison:
    """As `fusion.serving.comparison.compare_runs`, kept until a run comes, goes or changes."""
    return caches.remember(compare_runs, run_files(city), city, key)


def run_files(city: City) -> tuple[Path, ...]:
    """Return the files that say what runs a city has, its own description first."""
    return city.path / "city.toml", *(folder / name for folder in city.run_folders() for name in RUN_FILES)


def no_runs(city: City) -> None:
    """Say that nothing was trained on this city, and what to do about it."""
    if not city.can_train:
        components.empty(
            t("No model was trained on this city, and none can be yet."),
            t("Training needs signaling, imagery and known functions: see `python -m fusion ingest --help`."),
            wants_data=True,
        )
        return
    components.empty(
        t("No model was trained on this city yet."),
        t(
            "Train one with `python -m fusion train vit+convlstm-bottleneck --city {city}`, or it and its partners "
            "with `python -m fusion ablate vit convlstm-transformer vit+convlstm-bottleneck --seeds 1 --folds 3 "
            "--city {city}`.",
            city=city.name,
        ),
    )


def ceiling_name(rule: str) -> str:
    """Return the name of a ceiling in the session's language."""
    return {
        "image": t("image alone"),
        "image_near": t("image with neighbours"),
        "signal": t("signal alone"),
        "signal_near": t("signal with neighbours"),
        "additive": t("best late rule"),
        "joint": t("joint rule"),
        "oracle": t("oracle with neighbours"),
    }[rule]


def ceiling_meaning(rule: str) -> str:
    """Say what a ceiling assumes."""
    return {
        "image": t("the best decision from a site's true appearance alone"),
        "image_near": t("the same, and the true appearance of the sites around, which a chip shows at its rim"),
        "signal": t("the best decision from a site's true rhythm alone"),
        "signal_near": t("the same, and the true rhythm of the sites around, which ConvLSTM reads"),
        "additive": t("the best decision that adds up what each modality says by itself, as late fusion does"),
        "joint": t("the best decision from the pair of appearance and rhythm"),
        "oracle": t(
            "the joint rule that also knows the neighbours' appearance and rhythm, as a model of the surroundings might"
        ),
    }[rule]
