"""What complainers write: sentences in Chinese and English put together from templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

OPENING = {
    "en": [
        "",
        "Good day. ",
        "I write about my {product}. ",
        "Customer for {tenure}. ",
        "Once more: ",
        "Please read. ",
    ],
    "zh": ["", "您好。", "我要反映{product}的问题。", "我是用了{tenure}的用户。", "请处理：", "你们好，"],
}
PRODUCT = {
    "en": {
        "broadband": "broadband line",
        "tv": "television box",
        "mobile": "mobile plan",
        "smart_home": "smart home set",
    },
    "zh": {"broadband": "宽带", "tv": "电视盒子", "mobile": "手机套餐", "smart_home": "智能家居"},
}
PLACE = {
    "en": ["West Lake Road", "the old mill quarter", "Garden Street", "the harbour estate", "Hill View", "North Gate"],
    "zh": ["西湖路", "老磨坊小区", "花园街", "港湾苑", "山景小区", "北门"],
}
REASON = {
    "en": {
        "slow_speed": [
            "the speed drops to {speed} M every evening although the contract says {plan} M",
            "I pay for {plan} M and measure {speed} M, {times} times this month",
        ],
        "outage": [
            "no internet at {place} for {days} days",
            "the line at {place} has been dead since {hour} o'clock and nobody says why",
        ],
        "router": [
            "the router restarts {times} times a day",
            "the router sent by you loses Wi-Fi in every room but one",
        ],
        "tv_box": ["the TV box freezes after {times} minutes", "{times} channels are black since the update"],
        "rude_hall": [
            "the clerk at {place} laughed at my question",
            "I waited {minutes} minutes in the hall at {place} and was sent away without an answer",
        ],
        "rude_hotline": [
            "the hotline hung up on me {times} times",
            "after {minutes} minutes of waiting the agent told me to read the manual",
        ],
        "ignored": ["{times} messages and no reply", "nobody called back within {days} days as agreed"],
        "late_repair": [
            "I reported the fault {days} days ago and no engineer has come",
            "the repair at {place} is {days} days late",
        ],
        "failed_repair": [
            "the fault came back {days} days after the repair",
            "the engineer came {times} times and the fault is still there",
        ],
        "missed_appointment": [
            "I took a day off and the engineer did not come at {hour} o'clock",
            "appointment missed {times} times at {place}",
        ],
        "wrong_bill": [
            "my bill shows {amount} yuan for services that I never ordered",
            "I was charged twice: {amount} yuan too much",
        ],
        "hidden_fee": [
            "a fee of {amount} yuan appeared that nobody had mentioned",
            "ending the contract costs {amount} yuan, which was not in the offer",
        ],
        "promise_broken": [
            "your seller promised {amount} yuan off every month and the bill shows nothing",
            "I was promised {plan} M free for {times} months and got neither",
        ],
        "tariff_change": [
            "the fee rises by {amount} yuan and I was told by a text message only",
            "the new tariff costs {amount} yuan more for the same {plan} M",
        ],
        "router_late": ["the router has been on its way for {days} days", "delivery to {place} put off {times} times"],
        "router_damaged": [
            "the parcel arrived open and the router is broken",
            "the router from the parcel to {place} has a broken socket",
        ],
    },
    "zh": {
        "slow_speed": [
            "每天晚上网速只有{speed}兆，合同写的是{plan}兆",
            "我付{plan}兆的钱，本月测了{times}次只有{speed}兆",
        ],
        "outage": ["{place}断网{days}天了", "{place}从{hour}点起断网，没人说明原因"],
        "router": ["路由器一天重启{times}次", "你们寄来的路由器只有一个房间有信号"],
        "tv_box": ["电视盒子看{times}分钟就卡住", "升级后有{times}个频道黑屏"],
        "rude_hall": ["{place}营业厅的工作人员嘲笑我的问题", "在{place}营业厅等了{minutes}分钟，什么也没答复就让我走"],
        "rude_hotline": ["热线{times}次挂断我的电话", "等了{minutes}分钟，客服让我自己看说明书"],
        "ignored": ["发了{times}条消息没有人回", "说好回电话，{days}天了没有人联系"],
        "late_repair": ["报修{days}天了没有人上门", "{place}的维修晚了{days}天"],
        "failed_repair": ["修好{days}天后又坏了", "师傅来了{times}次，故障还在"],
        "missed_appointment": ["我请假在家等，{hour}点没有人来", "在{place}约好的安装{times}次没来"],
        "wrong_bill": ["账单里有{amount}元我没有订过的业务", "重复扣费，多收{amount}元"],
        "hidden_fee": ["多出一笔{amount}元的费用，从来没有人说过", "提前解约要{amount}元，办理时没有告知"],
        "promise_broken": ["业务员答应每月减{amount}元，账单上没有", "答应送{times}个月{plan}兆，一样也没有"],
        "tariff_change": ["资费涨了{amount}元，只发了一条短信", "新套餐同样{plan}兆贵了{amount}元"],
        "router_late": ["路由器寄了{days}天还没到", "送到{place}的时间改了{times}次"],
        "router_damaged": ["包裹是开的，路由器是坏的", "寄到{place}的路由器接口坏了"],
    },
}
REMEDY = {
    "en": {
        "repair": "Repair it.",
        "refund": "I want my money back.",
        "apology": "I expect an apology.",
        "compensation": "I ask for compensation of {claim} yuan.",
        "explanation": "Explain this to me.",
    },
    "zh": {
        "repair": "请尽快修好。",
        "refund": "要求退款。",
        "apology": "要求道歉。",
        "compensation": "要求赔偿{claim}元。",
        "explanation": "请给我一个说明。",
    },
}
EMOTION = {
    "en": {1: "", 2: "I am not pleased. ", 3: "I am very angry! ", 4: "This is outrageous!!! "},
    "zh": {1: "", 2: "我很不满意。", 3: "我非常生气！", 4: "简直忍无可忍！！！"},
}
FLAG: dict[str, dict[str, list[str]]] = {
    "en": {
        "promise_flag": ["This was promised and not kept. ", "I call this fraud. "],
        "law_cited": ["The Consumer Rights Protection Law is on my side. ", "See the Civil Code on contracts. "],
        "profession_flag": ["I am a lawyer. ", "I work as a journalist. "],
        "media_flag": ["I shall tell the newspapers. ", "My next letter goes to the consumer association. "],
    },
    "zh": {
        "promise_flag": ["答应的事没有做到。", "这就是欺诈。"],
        "law_cited": ["根据《消费者权益保护法》，我有权这样要求。", "《民法典》合同编写得很清楚。"],
        "profession_flag": ["我是律师。", "我是记者。"],
        "media_flag": ["我会找媒体曝光。", "我要向消费者协会反映。"],
    },
}
HOSTILE = (
    '"{text}", he said, and: "no, never"',
    "<b>{text}</b><script>alert(1)</script>",
    "=1+1 {text}",
    "@SUM(1,2), {text}",
    "first, second; third | '{text}'",
)


def texts(cases: pd.DataFrame, rng: np.random.Generator, *, hostile: float = 0.0) -> np.ndarray:
    """One text per case, in its language, about its reason, with a phrase for each flag, emotion and remedy.

    Parameters
    ----------
    cases
        Columns language, product, reason, remedy_sought, amount, emotion, speed (of the tariff, Mbit/s), tenure (months
        with the operator), promise_flag, law_cited, profession_flag, media_flag, fault and person. Serial claimants
        (fault "serial") write nearly the same every time.
    rng
        Source of all draws.
    hostile
        Share of texts with quotes, commas, HTML or a leading formula sign, 0 to 1.

    Returns
    -------
    numpy.ndarray
        Texts, shape ``(n,)``.

    Examples
    --------
    >>> case = {"language": "en", "product": "tv", "reason": "router_damaged", "remedy_sought": "refund", "amount": 0.0}
    >>> flags = {"promise_flag": 0, "law_cited": 0, "profession_flag": 1, "media_flag": 0}
    >>> cases = pd.DataFrame([case | flags | {"emotion": 1, "fault": "", "person": 3, "speed": 300, "tenure": 40}])
    >>> print(texts(cases, np.random.default_rng(4))[0])
    Please read. The router from the parcel to Hill View has a broken socket. I am a lawyer. I want my money back.
    """
    n = len(cases)
    draw = rng.integers(0, 2**31, (n, 10))
    # A serial claimant copies the last claim: all draws but one, the number of days, come from the first case.
    serial = np.flatnonzero((cases["fault"] == "serial").to_numpy())
    first = pd.Series(serial).groupby(cases["person"].to_numpy()[serial]).transform("first").to_numpy(dtype="int64")
    draw[serial, :6], draw[serial, 7:] = draw[first, :6], draw[first, 7:]
    spoiled = np.flatnonzero(rng.random(n) < hostile)
    columns = ["language", "product", "reason", "remedy_sought", "amount", "emotion", "speed", "tenure", *FLAG["en"]]
    written = [
        _text(language, product, reason, remedy, amount, emotion, speed, tenure, flags, numbers)
        for (language, product, reason, remedy, amount, emotion, speed, tenure, *flags), numbers in zip(
            cases[columns].itertuples(index=False, name=None), draw.tolist(), strict=True
        )
    ]
    found = np.array(written, dtype=object)
    for place, row in enumerate(spoiled):
        found[row] = HOSTILE[place % len(HOSTILE)].format(text=found[row])
    return found


def _text(
    language: str,
    product: str,
    reason: str,
    remedy: str,
    amount: float,
    emotion: int,
    speed: int,
    tenure: int,
    flags: Sequence[int],
    draw: Sequence[int],
) -> str:
    slots = {
        "product": PRODUCT[language].get(product, product),
        "tenure": _duration(language, tenure),
        "place": PLACE[language][draw[3] % 6],
        "plan": speed,
        "speed": speed * (5 + draw[4] % 60) // 100,
        "times": 2 + draw[5] % 8,
        "days": 2 + draw[6] % 14,
        "minutes": 10 + draw[6] % 80,
        "hour": 7 + draw[6] % 13,
        "amount": f"{amount:.0f}" if amount >= 1 else 10 + draw[6] % 50,
        "claim": 50 * (1 + draw[4] % 20),
    }
    body = _one(REASON[language][reason], draw[7]).format(**slots)
    words = _one(OPENING[language], draw[0]).format(**slots)
    words += (body[0].upper() + body[1:] + ". ") if language == "en" else body + "。"
    words += EMOTION[language][emotion]
    for place, (present, phrases) in enumerate(zip(flags, FLAG[language].values(), strict=True)):
        words += _one(phrases, draw[8] >> place) if present else ""
    return words + REMEDY[language][remedy].format(**slots)


def _duration(language: str, months: int) -> str:
    """Months with the operator in whole years, or in months where it is less than a year."""
    number, unit = (months // 12, "year") if months >= 12 else (months, "month")
    if language == "zh":
        return f"{number}年" if unit == "year" else f"{number}个月"
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _one(options: Sequence[str], number: int) -> str:
    return options[number % len(options)]


def vocabulary() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The phrases that stand for a flag, by language: the key for recognisers of these phrases.

    Examples
    --------
    >>> vocabulary()["zh"]["profession_flag"]
    ['我是律师。', '我是记者。']
    """
    return FLAG
