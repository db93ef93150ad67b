"""Figures that others reported, on other data: shown apart from what is measured here, with sources (facts §1, 2).

None of them is comparable with a run of this program: other cities, other regions, other splits.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reported:
    """One reported accuracy, or the range of several; `user` tells this project's own from published ones."""

    en: str
    zh: str
    low: float
    high: float
    data_en: str
    data_zh: str
    source_en: str
    source_zh: str
    user: bool = False

    @property
    def accuracy(self) -> float:
        """The middle of the range; the figure itself where there is one."""
        return (self.low + self.high) / 2

    @property
    def single(self) -> bool:
        """Whether it is one figure, not a range."""
        return self.low == self.high


def _by_user(en: str, zh: str, accuracy: float) -> Reported:
    return Reported(
        en, zh, accuracy, accuracy,
        "own data set, not named", "自有数据集，未说明名称",
        "this project's weekly report of 14 to 27 December 2022", "本课题 2022 年 12 月 14 至 27 日周报",
        user=True,
    )  # fmt: skip


def _on_urfc(en: str, zh: str, low: float, high: float, leak: bool = False) -> Reported:
    data_en, data_zh = "URFC (Baidu / IKCEST 2019)", "URFC（百度 / IKCEST 2019）"
    if leak:
        data_en += ", with the ids of users, which recur across regions: a leak"
        data_zh += "，使用跨区域重复出现的用户 id：存在泄漏"
    repositories = (
        "czczup/UrbanRegionFunctionClassification, zhuqunxi/Urban-Region-Function-Classification, "
        "ABadCandy/BaiDuBigData19-URFC, SeaEagleI/BaiduXJTU_BigData_2019_Semi-Final, destiny19960207/URFC-top4"
    )
    return Reported(
        en, zh, low, high, data_en, data_zh,
        f"public contest repositories: {repositories}", f"公开竞赛代码库：{repositories}",
    )  # fmt: skip


REPORTED = (
    _by_user("Graduation-project model", "毕设模型", 0.668),
    _by_user("Pretrained ViT + BiLSTM", "预训练 ViT + BiLSTM", 0.636),
    _by_user("Transformer, not pretrained, + BiLSTM", "无预训练 Transformer + BiLSTM", 0.533),
)
PUBLISHED = (
    _on_urfc("URFC: image, one network", "URFC：影像，单个网络", 0.41, 0.57),
    _on_urfc("URFC: visits, one network", "URFC：到访，单个网络", 0.61, 0.67),
    _on_urfc("URFC: fusion, one network", "URFC：融合，单个网络", 0.57, 0.72),
    _on_urfc("URFC: ensembles", "URFC：集成", 0.71, 0.77),
    _on_urfc("URFC: with user-id voting", "URFC：加用户 id 投票", 0.82, 0.91, leak=True),
    Reported(
        "URFC: MDFL", "URFC：MDFL", 0.9275, 0.9275,
        "URFC (Baidu / IKCEST 2019), series of single users", "URFC（百度 / IKCEST 2019），用户级序列",
        "Xu et al., arXiv, July 2022", "Xu 等，arXiv，2022 年 7 月",
    ),
)  # fmt: skip
ELSEWHERE = REPORTED + PUBLISHED
