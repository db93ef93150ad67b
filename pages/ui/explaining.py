"""Why the model answers so for one region: where it looked, which hours mattered, what each modality gave."""

import streamlit as st

from fusion.analysis.findings import Shapley
from fusion.charts.explain_figures import hours_figure, rollout_figure, shapley_figure
from fusion.city import City
from fusion.serving.explanation import Explanation
from fusion.training.experiments import EXPERIMENTS
from pages.ui import caches, components, language, prediction
from pages.ui.language import t
from pages.views.formats import percent
from pages.views.predict import Question

_CHIP_M = 384.0
_PLAIN = {"displayModeBar": False, "scrollZoom": False}


def toggle_key(id_: str) -> str:
    """Return the key of the switch that shows a region's explanation."""
    return f"predict_explain_{id_}"


def show(city: City, question: Question, id_: str, name: str) -> None:
    """Draw the switch of one region's card and, when it is on, what explains the answer.

    Args:
        city: the city.
        question: what the answer answers: its run and device.
        id_: of the region, an H3 hexadecimal string.
        name: the predicted function's, in the session's language.
    """
    asked = st.toggle(
        t("Why this answer?"),
        key=toggle_key(id_),
        help=t("Asks the model again with parts of the input taken away: a few seconds."),
    )
    if not asked:
        return
    if question.city_fingerprint != city.fingerprint():
        st.caption(t("The city's data changed since this answer: predict again, then ask why."))
        return
    with components.guard():
        with st.spinner(t("Asking the model about this region")):
            found = prediction.explain(city, question, id_)
        chip, hours, gave = st.columns([1.5, 2.2, 2.2], vertical_alignment="top", gap="medium")
        with chip:
            _rollout(city, found)
        with hours:
            _hours(city, found, name)
        with gave:
            _shapley(city, found, name)
        components.table_under(city, found.to_table(), f"explanation-{question.run}-{id_}")


def _rollout(city: City, found: Explanation) -> None:
    st.markdown(f"**{t('Where the ViT looked')}**")
    if found.rollout is None:
        st.caption(_limit(city, found.limits["rollout"]))
        return
    picture = caches.chip(city, int(found.id, 16), _CHIP_M)
    if picture is None:
        st.caption(t("No picture of this region."))
        return
    st.plotly_chart(
        rollout_figure(picture, found.rollout.patches, language.current()),
        key=f"rollout_{found.id}",
        config=_PLAIN,
        alt=t("Attention on the chip, a square a patch"),
    )
    elsewhere = float(found.rollout.elsewhere.mean())
    lines = [
        t("Attention rollout: where the class token drew from. It describes the forward pass and proves no cause.")
    ]
    if elsewhere > 1e-6:
        lines.append(
            t(
                "Left out: {share} of the image tokens' attention, which went to tokens of fusion or signaling.",
                share=percent(elsewhere, 0),
            )
        )
    st.caption("  \n".join(lines))


def _hours(city: City, found: Explanation, name: str) -> None:
    st.markdown(f"**{t('Which hours mattered')}**")
    if found.hours is None:
        st.caption(_limit(city, found.limits["hours"]))
        return
    st.plotly_chart(
        hours_figure(found.hours, found.clock, language.current()),
        key=f"hours_{found.id}",
        config=_PLAIN,
        alt=t("Change of the probability when an hour is missing"),
    )
    text = (
        t(
            "How much lower the probability of {name} is when that hour, on all days, is missing. "
            "Hours that can stand in for each other each show little.",
            name=name,
        )
        if found.clock
        else t(
            "How much lower the probability of {name} is when that hour is missing. "
            "Hours that can stand in for each other each show little.",
            name=name,
        )
    )
    st.caption(text)


def _shapley(city: City, found: Explanation, name: str) -> None:
    st.markdown(f"**{t('What each modality gave')}**")
    if found.shapley is None:
        st.caption(_limit(city, found.limits["shapley"]))
        return
    st.plotly_chart(
        shapley_figure(found.shapley, name, language.current()),
        key=f"shapley_{found.id}",
        config=_PLAIN,
        alt=t("From the prior to the answer, a step a modality"),
    )
    st.caption(_in_words(found.shapley, name))


def _in_words(shapley: Shapley, name: str) -> str:
    return t(
        "Exact Shapley values: what each modality adds on average over both orders; they add up to the answer. "
        "{name} by this same fusion network with the other modality blanked (not by the separate networks above): "
        "{image} from the image, {signal} from the signaling; with both blanked {nothing}, which it says of every "
        "region.",
        name=name,
        image=percent(shapley.image_only),
        signal=percent(shapley.signal_only),
        nothing=percent(shapley.nothing),
    )


def _limit(city: City, key: str) -> str:
    """Say in the session's language why a model cannot be explained so: `fusion.analysis.findings.LIMITS`."""
    return {
        "no-image": t("This model reads no image."),
        "merged": t("This model merges tokens before fusion: a token is no longer one patch of the picture."),
        "no-signal": t("This model reads no signaling."),
        "one-modality": t("This model reads one modality only, which gave all of the answer."),
        "no-absent-tokens": t(
            "This model was not trained with modality dropout: it cannot answer without one of the two. Train one that "
            "can with `python -m fusion train {experiment} --city {city}`.",
            experiment=next((row.name for row in EXPERIMENTS.values() if row.network.absent_tokens), "…"),
            city=city.name,
        ),
    }[key]
