"""Focus groups: statements of speakers, coded twice with a known agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError, SpecError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.requirements import needed
from csi_lab.simulate.variates import chosen, weighted

START = {
    "en": ["", "I think ", "To be honest, ", "At our place ", "My neighbour says ", "As I said, ", "Well, "],
    "zh": ["", "我觉得", "说实话，", "我们家", "邻居说", "我再说一遍，", "其实"],
}
SAID = {
    "en": {
        "speed": ["films stop {n} times an evening", "{n} M is not what I pay for", "the speed is fine now"],
        "outage": [
            "the line was dead for {n} days",
            "one storm and the net is gone",
            "I have not had an outage for {n} months",
        ],
        "price": ["{n} yuan more every year is too much", "others are {n} yuan cheaper", "the price is fair"],
        "bill": ["nobody can read this bill", "{n} yuan on the bill that I cannot explain", "the bill comes too late"],
        "hotline": [
            "I waited {n} minutes for the hotline",
            "the voice menu has {n} levels",
            "the hotline helped at once",
        ],
        "repair": ["the engineer came after {n} days", "the repair held for {n} weeks", "the repair was quick"],
        "staff": ["the staff know their subject", "the staff look at the clock", "{n} people gave me {n} answers"],
        "app": ["the app forgets my password", "in the app I see everything", "the app needs {n} steps for one bill"],
        "contract": ["{n} months of contract are too long", "nobody told me about the end of the contract"],
        "hall": ["the hall closes too early", "I drew number {n} in the hall and left"],
        "installation": ["the installation took {n} hours", "they drilled {n} holes in the wall"],
        "privacy": ["who reads my data?", "{n} firms called me after I signed"],
        "advertising": ["{n} advertising calls a week", "the advertisement promised more"],
        "television": ["the TV box has {n} menus", "the children want other channels"],
        "family": ["{n} of us share one line", "everybody is online at the same hour"],
        "rural_cover": ["in the village there is one bar only", "past kilometre {n} there is nothing"],
        "moving_house": ["moving the line took {n} weeks", "we moved and paid twice"],
        "elderly": ["my mother cannot use the menu", "at {n} plus years one wants a person to talk to"],
        "gift": ["the gift was a cup", "{n} points and nothing to choose"],
    },
    "zh": {
        "speed": ["看电影一晚上卡{n}次", "{n}兆不是我付钱买的速度", "现在网速还可以"],
        "outage": ["断网断了{n}天", "一下大雨就没网", "{n}个月没断过网"],
        "price": ["每年涨{n}元太多了", "别家便宜{n}元", "价格还算公道"],
        "bill": ["账单没人看得懂", "账单上有{n}元说不清楚", "账单来得太晚"],
        "hotline": ["热线等了{n}分钟", "语音菜单有{n}层", "热线一下子就解决了"],
        "repair": ["师傅{n}天后才来", "修好只管了{n}个星期", "维修很快"],
        "staff": ["工作人员很懂行", "工作人员老看表", "{n}个人有{n}种说法"],
        "app": ["应用总是忘记密码", "应用里什么都能查", "查一个账单要{n}步"],
        "contract": ["合约{n}个月太长", "合约到期没人通知"],
        "hall": ["营业厅关门太早", "在营业厅拿到{n}号就走了"],
        "installation": ["安装用了{n}个小时", "墙上打了{n}个洞"],
        "privacy": ["谁在看我的信息？", "签约后有{n}家公司打电话"],
        "advertising": ["一周{n}个推销电话", "广告说得更好听"],
        "television": ["电视盒子有{n}个菜单", "孩子要看别的频道"],
        "family": ["{n}个人用一条线", "大家同一时间上网"],
        "rural_cover": ["村里只有一格信号", "过了{n}公里就没信号"],
        "moving_house": ["移机用了{n}个星期", "搬家交了两次钱"],
        "elderly": ["我妈不会用菜单", "{n}多岁的人想找真人说话"],
        "gift": ["礼品是个杯子", "{n}分什么也换不了"],
    },
}
END = {"en": ".", "zh": "。"}


def make(
    register: pd.DataFrame, latent: pd.DataFrame, parameters: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    r"""Statements of customers in focus groups, each with the codes of two coders.

    With probability :math:`\kappa` both coders give the code of the statement; otherwise each picks a code by the
    shares, without regard to the other. Cohen's kappa is then :math:`\kappa`, since both use the codes equally often.

    Parameters
    ----------
    register
        One row per customer: customer. Speakers are drawn at random and sit in one group only.
    latent
        Not used beyond its length.
    parameters
        The section ``focus_groups`` of the truth.
    rng
        Source of all draws.

    Returns
    -------
    dict of DataFrame
        ``focus_groups`` one row per statement, in the order in which a group spoke: group, speaker (1 .. in the
        group), customer, statement (number in the group), question, language, text, code_1, code_2.

    Raises
    ------
    DataError
        If the register lacks something or has fewer customers than there are seats.
    SpecError
        If shares do not add up to 1, kappa is not between 0 and 1, or a code has no sentences.

    References
    ----------
    .. [1] Cohen, J. (1960). Educational and Psychological Measurement, 20(1), 37-46.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"customer": range(1, 101)})
    >>> said = make(people, people, truth.load("focus_groups"), np.random.default_rng(1))["focus_groups"]
    >>> said["group"].nunique(), said["customer"].nunique()
    (6, 48)
    """
    require_possible({"focus_groups": parameters})
    needed(register, latent, ("customer",))
    groups, seats = int(parameters["groups"]), int(parameters["speakers"])
    kappa = float(parameters["kappa"])
    wordless = sorted(set(parameters["codes"]) - set(SAID["en"]))
    if wordless:
        raise SpecError(f"focus_groups: codes without sentences: {wordless}; there are {sorted(SAID['en'])}")
    if groups * seats > len(register):
        raise DataError(f"focus_groups: {groups * seats} seats but {len(register)} customers")
    streams = rng.spawn(4)
    customers = register["customer"].to_numpy()[chosen(len(register), groups * seats, streams[0])]
    customers = streams[0].permutation(customers)

    count = 1 + streams[1].poisson(max(float(parameters["statements"]) - 1, 0), groups * seats)
    person = np.repeat(np.arange(groups * seats), count)
    part = {name: place for place, name in enumerate(parameters["questions"])}
    question = weighted(parameters["questions"], len(person), streams[1])
    # Within a group the parts of the guide follow each other; inside a part people speak in any order.
    order = np.lexsort(
        (streams[1].random(len(person)), np.array([part[q] for q in question], dtype="int64"), person // seats)
    )
    person, question = person[order], question[order]
    group = person // seats
    n = len(person)

    told = weighted(parameters["codes"], n, streams[2])
    together = streams[2].random(n) < kappa
    codes = [np.where(together, told, weighted(parameters["codes"], n, streams[2])) for _ in range(2)]
    languages = np.array(list(parameters["languages"]), dtype=object)
    language = languages[group % len(languages)]
    draw = streams[3].integers(0, 2**31, (n, 3)).tolist()
    return {
        "focus_groups": pd.DataFrame(
            {
                "group": group + 1,
                "speaker": person % seats + 1,
                "customer": customers[person],
                "statement": np.arange(n) - np.searchsorted(group, group) + 1,
                "question": question,
                "language": language,
                "text": [_sentence(*row) for row in zip(language, told, draw, strict=True)],
                "code_1": codes[0],
                "code_2": codes[1],
            }
        )
    }


def _sentence(language: str, code: str, draw: list[int]) -> str:
    starts, said = START[language], SAID[language][code]
    words = starts[draw[0] % len(starts)] + said[draw[1] % len(said)].format(n=2 + draw[2] % 38)
    words = words[0].upper() + words[1:]
    return words if words.endswith(("？", "?")) else words + END[language]
