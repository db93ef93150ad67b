"""Axes of the ablation: what each changes, what a row is called on it and which row it is measured against.

An axis is a list of experiments that differ in one thing (`fusion.training.suites.AXES`). Everything here is read off
configurations, nothing off names, so that a row of one's own (`ablate --set ...`) finds its place by what it changes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fusion.training.experiments import EXPERIMENTS
from fusion.training.suites import AXES

# What the rows of an axis may differ in and still be measured against each other; dotted keys of a configuration.
VARIES: dict[str, tuple[str, ...]] = {
    "fusion-layer": ("network.fusion_layer",),
    "bottlenecks": ("network.bottlenecks",),
    "fusion": ("network",),
    "coupling": ("network.coupling",),
    "streams": ("network",),
    "pretraining": ("network.vision.weights",),
    "merging": ("network.merge",),
    "modality-dropout": ("network.absent_tokens", "training.modality_dropout"),
}
# Axes that are a scale, and where the value stands; a row of one's own joins only these, where its place is plain.
SCALES = {
    "fusion-layer": "network.fusion_layer",
    "bottlenecks": "network.bottlenecks",
    "merging": "network.merge",
    "modality-dropout": "training.modality_dropout",
}

Config = Mapping[str, Any]
Words = tuple[str, str]  # English, Chinese

_FUSIONS: dict[str, Words] = {
    "late": ("late, concatenated", "后期，拼接"),
    "late-mean": ("late, mean of logits", "后期，logits 均值"),
    "late-gated": ("late, gated", "后期，门控"),
    "joint": ("joint attention", "联合注意力"),
    "cross": ("cross-attention", "交叉注意力"),
    "bottleneck": ("bottleneck", "瓶颈"),
}
_COUPLINGS: dict[str, Words] = {
    "share": ("shared tensors", "共享参数"),
    "distance": ("tensors drawn together", "参数拉近"),
    "apart": ("tensors pushed apart", "参数推远"),
    "contrastive": ("contrastive", "对比对齐"),
    "orthogonal": ("orthogonal", "正交互补"),
}
_NONE: Words = ("none", "无")
_WEIGHTS: dict[str, Words] = {
    "": ("from scratch", "从头训练"),
    "city": ("pretrained, city", "本城预训练"),
    "timm": ("pretrained, timm", "timm 预训练"),
    "file": ("pretrained, own file", "自有权重预训练"),
}
_SIGNALS = {"bilstm": "BiLSTM", "convlstm": "ConvLSTM", "transformer": "Transformer"}


@dataclass(frozen=True)
class Place:
    """Where an experiment stands on an axis.

    value: on the axis' scale; NaN on an axis that is none.
    en, zh: what changes, as short as a chart needs it.
    reference: the experiment that this one is measured against; its own name where there is none before it.
    """

    experiment: str
    value: float
    en: str
    zh: str
    reference: str


def places(axis: str, runs: Mapping[str, Config] | None = None) -> list[Place]:
    """Return the places of an axis: its declared rows, and rows of one's own that differ in nothing else.

    Args:
        axis: a name of `AXES`.
        runs: experiment -> configuration of its runs (`Experiment.to_dict`), which goes before the declared one.

    Returns:
        In the order of the axis; ascending where it is a scale.
    """
    found: dict[str, Config] = {name: EXPERIMENTS[name].to_dict() for name in AXES[axis]}
    declared = {name: _rest(axis, config) for name, config in found.items()}
    for name, config in (runs or {}).items():
        # A run that carries no configuration is described by the declared one.
        if name in found:
            found[name] = config or found[name]
        elif axis in SCALES and name not in EXPERIMENTS and config and _rest(axis, config) in declared.values():
            found[name] = config
    references = _references(axis, found, runs or {})
    grouped = len(set(references.values())) > 1
    rows = [_place(axis, name, config, references[name], grouped) for name, config in found.items()]
    if axis in SCALES:
        rows.sort(key=lambda row: row.value)  # stable: equal values keep the declared order
    return _apart(rows)


def streams_of(config: Config) -> Words:
    """Name the streams of a configuration: "ViT + ConvLSTM"."""
    network = config["network"]
    parts = [("ViT", "ViT")] if network.get("vision") else []
    if network.get("signal"):
        parts.append(_signal(network["signal"]))
    return " + ".join(part[0] for part in parts), " + ".join(part[1] for part in parts)


def _references(axis: str, configs: Mapping[str, Config], runs: Collection[str]) -> dict[str, str]:
    """Measure each row against the first of the axis that is like it in all that the axis does not vary.

    Where that one was not run and two or more of the others were, against the first of those.
    """
    alike: dict[str, list[str]] = {}
    for name, config in configs.items():
        alike.setdefault(_rest(axis, config), []).append(name)
    references: dict[str, str] = {}
    for names in alike.values():
        run = [name for name in names if name in runs]
        first = run[0] if len(run) > 1 else names[0]
        references |= dict.fromkeys(names, first)
    return references


def _rest(axis: str, config: Config) -> str:
    flat = _flat(config)
    kept = {key: value for key, value in flat.items() if not any(_within(key, own) for own in VARIES[axis])}
    return repr(sorted((key, repr(value)) for key, value in kept.items() if value is not None))


def _within(key: str, own: str) -> bool:
    return key == own or key.startswith(own + ".")


def _flat(config: Config, above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key}.")
        else:
            found[above + key] = value
    return found


def _place(axis: str, name: str, config: Config, reference: str, grouped: bool) -> Place:
    en, zh = _label(axis, config)
    if grouped:  # rows of several streams on one axis: say whose row it is
        stream = _group(axis, config)
        en, zh = f"{stream[0]}: {en}", f"{stream[1]}：{zh}"
    value = float(_flat(config).get(SCALES[axis], "nan")) if axis in SCALES else float("nan")
    return Place(name, value, en, zh, reference)


def _label(axis: str, config: Config) -> Words:
    network = config["network"]
    if axis == "fusion-layer":
        return _same(f"Lf = {network['fusion_layer']}")
    if axis == "bottlenecks":
        return _same(f"B = {network['bottlenecks']}")
    if axis == "fusion":
        return _fusion(network)
    if axis == "coupling":
        return _coupling(network.get("coupling"))
    if axis == "streams":
        en, zh = streams_of(config)
        vision = network.get("vision") or {}
        weights = _WEIGHTS[_source(vision.get("weights"))]
        return (f"{en}, {weights[0]}", f"{zh}，{weights[1]}") if vision.get("weights") else (en, zh)
    if axis == "pretraining":
        return _WEIGHTS[_source((network.get("vision") or {}).get("weights"))]
    if axis == "merging":
        share = f"{network['merge'] * 100:.0f} %"
        return (f"{share} merged", f"合并 {share}") if network["merge"] else ("none", "不合并")
    share = f"{config['training']['modality_dropout'] * 100:.0f} %"
    dropped = config["training"]["modality_dropout"]
    return (f"{share} of the samples", f"丢弃 {share}") if dropped else ("none", "不丢弃")


def _group(axis: str, config: Config) -> Words:
    network = config["network"]
    bare = {**network["signal"], "blocks": 0} if network.get("signal") else None  # short: a chart has little room
    if axis == "coupling" and bare is not None:
        return _signal(bare)
    en, zh = streams_of({"network": {**network, "signal": bare}})
    if axis == "pretraining" and network.get("fusion"):
        fusion = network["fusion"].split("-")[0]
        kind = {"late": ("late", "后期")}.get(fusion, _FUSIONS.get(fusion, (fusion, fusion)))
        return f"{en}, {kind[0]}", f"{zh}，{kind[1]}"
    return en, zh


def _fusion(network: Mapping[str, Any]) -> Words:
    kind = network["fusion"]
    if kind is None:
        return _NONE
    en, zh = _FUSIONS.get(kind, (kind, kind))
    if kind == "bottleneck":
        en, zh = f"{en}, B = {network['bottlenecks']}", f"{zh}，B = {network['bottlenecks']}"
    return (f"{en}, shared blocks", f"{zh}，共享块") if network["shared_blocks"] else (en, zh)


def _coupling(coupling: Mapping[str, Any] | None) -> Words:
    if not coupling:
        return _NONE
    kind = "apart" if coupling.get("apart") else str(coupling["kind"])
    en, zh = _COUPLINGS.get(kind, (kind, kind))
    return (en, zh) if kind == "share" else (f"{en}, {coupling['strength']:g}", f"{zh}，{coupling['strength']:g}")


def _signal(signal: Mapping[str, Any]) -> Words:
    block, kind = signal.get("block", "attention"), signal["kind"]
    if block != "attention":
        name = block.upper().replace("BLSTM-", "BLSTM ")
        return _same(name if kind == "transformer" else f"{_SIGNALS.get(kind, kind)} → {name}")
    name = _SIGNALS.get(kind, kind)
    return _same(f"{name} → Transformer" if kind != "transformer" and signal.get("blocks") else name)


def _source(weights: object) -> str:
    return "" if weights is None else (str(weights) if weights in ("city", "timm") else "file")


def _same(text: str) -> Words:
    return text, text


def _apart(rows: Iterable[Place]) -> list[Place]:
    """Add the experiment's name where two rows would read alike: a chart has one line a name."""
    taken: set[str] = set()
    apart = []
    for row in rows:
        if row.en in taken:
            row = Place(
                row.experiment,
                row.value,
                f"{row.en} ({row.experiment})",
                f"{row.zh}（{row.experiment}）",
                row.reference,
            )
        taken.add(row.en)
        apart.append(row)
    return apart
