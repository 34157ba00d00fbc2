"""Styles of text logs that names and values alone do not tell: one entry a style, the first that fits a line wins."""

from __future__ import annotations

from foam_viz.logs.parsing.blocks import Block

_PAIRED = r"(?P<name>[\w@%][\w@%./ ()-]{0,80}?)"
_NUMBER = r"(?P<value>[-+]?(?:\d[\d,]{0,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,4})?%?|[-+]?(?:nan|inf))"

BLOCKS: tuple[Block, ...] = (
    Block(
        name="checkpoint line",
        hint="reached",
        opens=r"^\W{0,3}Epoch (?P<epoch>\d+), global step \d+: '?(?P<name>[^']{1,80}?)'? reached (?P<value>[-+.\deE]+)",
        lands="before",
        rest=False,
    ),
    Block(
        name="evaluation line",
        hint="Saving dict for global step",
        opens=r"Saving dict for global step \d+:",
        split="eval",
    ),
    Block(
        name="aside",
        opens=r"(?i)\b(?:improved from|did not improve|saving (?:model|checkpoint|state)|early stopping|best metric:)",
        ignored=True,
    ),
    # Records that span lines.
    Block(
        name="OLMo record",
        hint="[step=",
        opens=r"\[step=(?P<step>\d+)(?:/(?P<step_total>\d+))?(?:,\s*epoch=(?P<epoch>\d+)(?:/(?P<epoch_total>\d+))?)?",
        inside=rf"^\s+{_PAIRED}={_NUMBER}\s*$",
    ),
    Block(
        name="Composer record",
        hint="[batch=",
        opens=r"^\W{0,3}\[batch=(?P<step>\d+)(?:/(?P<step_total>\d+))?\]",
        inside=rf"^\s+(?:Train|Eval)\s+{_PAIRED}:\s*{_NUMBER}\s*$",
        names={"time/batch": "batch", "time/epoch": "epoch", "time/sample": "samples", "time/token": "tokens"},
    ),
    Block(
        name="Composer evaluation",
        hint="[Eval batch=",
        opens=r"^\W{0,3}\[Eval batch=\d+",
        inside=rf"^\s+Eval\s+{_PAIRED}:\s*{_NUMBER}\s*$",
        lands="before",
        rest=False,
        split="eval",
        last=True,
    ),
    Block(
        name="box of names and values",
        hint="|",
        inside=r"^\s*\|\s*(?:(?P<section>[\w ]{1,40}/)\s*\|\s*\||"
        r"(?P<name>[A-Za-z]\S*(?: \S+){0,4}?)\s*\|\s*(?P<value>[-+]?[\w.+-]+)\s*\|)\s*$",
        closes=r"^\s*[-=+]{5,}\s*$",
    ),
    Block(
        name="RLlib result",
        hint="Result for ",
        opens=r"^Result for \S+",
        inside=rf"^\s+(?:(?:[\w./-]+):\s*$|{_PAIRED}:\s*{_NUMBER}\s*$|\S)",
        rest=False,
    ),
    Block(
        name="block of an iteration",
        hint="Learning iteration",
        opens=r"Learning iteration (?P<step>\d+)(?:/(?P<step_total>\d+))?",
        inside=rf"^\s*(?:{_PAIRED}:\s+{_NUMBER}(?:s\b|\s|$)|[-#]{{5,}})",
        closes=r"^\s*ETA\b",
    ),
    # Tables of fixed columns between other lines.
    Block(
        name="table row",
        opens=r"(?i)^\s*\W{0,3}(?:e|epoch|step|steps|iter|iteration|#)(?:\s*\|\s*|\s+)(?=[a-z#])[^:=]{0,400}$",
        columns=True,
        names={"E": "epoch", "#": "step"},
    ),
    Block(
        name="detector's evaluation",
        hint="mAP50",
        opens=r"^\s*Class\s+Images\s+(?:Instances|Labels)\s+Box\(P\s+R\s+mAP50\s+mAP50-95\)(?!\s+Mask)",
        inside=r"^\s*all\s+\d+\s+\d+\s+(?P<precision>[\d.]+)\s+(?P<recall>[\d.]+)\s+(?P<mAP50>[\d.]+)\s+"
        r"(?P<mAP50_95>[\d.]+)\s*$",
        lands="before",
        split="val",
        rest=False,
    ),
    Block(
        name="table row",
        hint="|",
        opens=r"^\s*\|(?:\s*[A-Za-z#][^|:=]{0,60}\|){3,60}\s*$",
        columns=True,
    ),
    # One line, with its place in the run written in a way of its own.
    Block(
        name="Keras line",
        opens=r"^\s*(?P<step>\d+)/(?P<step_total>\d+|Unknown)\s{1,4}"
        r"(?:\[[=>.\s]{0,200}\]|[━ ]{3,200}\S?|-)\s{0,4}(?:-|\d|ETA)",
        last=True,
    ),
    Block(
        name="timm evaluation",
        hint="Test:",
        opens=r"^\W{0,3}Test:\s*\[\s*\d+/\s*\d+\]",
        lands="before",
        last=True,
        averages=True,
        split="val",
    ),
    Block(
        name="evaluation line",
        opens=r"^\W{0,3}(?:(?:Epoch|Iter)\((?:val|test)\)\s*(?:\[\s*\d+(?:/\d+)?\]\s*)+|\[(?:Eval|Valid|Val|Test)\]\s*\[Epoch\s*(?P<epoch>\d+)(?:/\d+)?\]\s*\[(?:Iter:?\s*\d+(?:/\d+)?|Avg)\])",
        lands="before",
        last=True,
        split="val",
    ),
    Block(
        name="training line",
        hint="Train: ",
        opens=r"^\W{0,3}Train:\s*(?P<epoch>\d+)(?:/(?P<epoch_total>\d+))?\s*(?:\(\s*\d+%\)\s*)?\[\s*(?P<step>\d+)/\s*(?P<step_total>\d+)\s*(?:\(\s*\d+%\))?\s*\]",
    ),
    Block(
        name="training line",
        opens=r"(?i)^\W{0,3}(?:train(?:ing)?\W{0,3})?(?:epoch\W{0,3}|train:\s*)?(?:\(train\)\s*)?\[\s*(?:epoch\W{0,2})?(?P<epoch>\d+)(?:/(?P<epoch_total>\d+))?\s*\]\W{0,3}\[?(?:iter(?:ation)?\W{0,2})?\s*(?<![\d.])(?P<step>\d+)\s*/\s*(?P<step_total>\d+)\s*\]?",
    ),
    Block(
        name="training line",
        hint="Iter(train)",
        opens=r"Iter\(train\)\s*\[\s*(?P<step>\d+)/(?P<step_total>\d+)\]",
    ),
    Block(
        name="training line",
        opens=r"(?i)^\W{0,3}(?:train(?:ing)?\W{1,3})?epoch\W{0,3}(?P<epoch>\d+)\W{1,4}\[?\s*(?P<step>\d+)\s*/\s*(?P<step_total>\d+)\b(?!\.)",
    ),
    Block(
        name="training line",
        hint="[",
        opens=r"^\s*\[\s*(?P<epoch>\d+)\s*,\s*(?P<step>\d+)\s*\]\s*(?=[A-Za-z])",
    ),
    Block(
        name="training line",
        opens=r"(?i)^\W{0,3}(?:after|at)\s+(?P<step>\d[\d,]*)(?:\s*/\s*(?P<step_total>\d+))?\s+(?:training\s+)?"
        r"(?:iterations|iters|steps|updates|batches)\b",
    ),
    Block(
        name="Marian line",
        hint="Up. ",
        opens=r"Ep\.\s*(?P<epoch>[\d.]+)\s*:\s*Up\.\s*(?P<step>\d+)",
        names={"Cost": "loss", "L.r": "lr", "Sen": "sentences"},
    ),
    Block(
        name="ESPnet line",
        hint="batch:",
        opens=r"\b(?P<epoch>\d+)epoch:train:\d+-(?P<step>\d+)batch:",
    ),
    Block(
        name="ESPnet summary",
        hint="epoch results:",
        opens=r"\b(?P<epoch>\d+)epoch results:",
    ),
    Block(
        name="Darknet line",
        hint=" avg loss",
        opens=r"^\s*(?P<step>\d+):\s*(?P<loss>[\d.]+),\s*(?P<average_loss>[\d.]+) avg loss,\s*(?P<lr>[\d.]+) rate",
        rest=False,
    ),
    Block(
        name="CatBoost line",
        hint="learn:",
        opens=r"^\s*(?P<step>\d+):\s+(?=learn:)",
        names={"learn": "train/loss", "test": "val/loss"},
    ),
    Block(
        name="percent line",
        hint="Progress:",
        opens=r"^\W{0,3}Progress:\s*(?P<progress>[\d.]+)\s?%",
    ),
    Block(
        name="counter line",
        hint="/",
        opens=r"^\s*\[\s*(?P<step>\d+)\s*/\s*(?P<step_total>\d+)\s*\]\W{0,3}\s"
        r"(?=[A-Za-z][\w./-]{0,40}\s?[:= ]\s?[-+.\d])",
    ),
    Block(
        name="boosting line",
        hint="[",
        opens=r"^\s*\[(?P<step>\d+)\]\s*(?=[A-Za-z])",
        names={"train-loss": "loss"},
    ),
    Block(
        name="counter line",
        opens=r"^\s*(?P<step>\d+)\s*/\s*(?P<step_total>\d+)\W{0,3}\s(?=[A-Za-z][\w./-]{0,40}(?:\s?[:=]\s?|\s+)[-+.\d])",
    ),
    Block(
        name="counter line",
        opens=r"^\s*(?P<step>\d+)\W{0,2}\s+(?=(?:train|val|valid|eval|test|hella|loss|lr)[\w./-]{0,40}"
        r"\s?[:= ]\s?[-+.\d])",
        names={"train": "train/loss", "val": "val/loss", "valid": "val/loss", "eval": "eval/loss", "test": "test/loss"},
    ),
    # Headings of what follows, or of what went before.
    Block(
        name="epoch heading",
        opens=r"(?i)^\W*(?:start(?:ing|ed)?|begin(?:ning)?|train(?:ing)?|running)?\W{0,3}epoch\W{0,4}(?P<epoch>\d+)\W{0,2}(?:\s*(?:/|of)\s*(?P<epoch_total>\d+))?\W*$",
        only_epoch=True,
    ),
    Block(
        name="evaluation results",
        opens=r"(?i)^\W*(?:validation|evaluation|eval|test(?:ing)?|dev)(?:\s+(?:set|results?|metrics?|summary|phase)){0,2}\W*$",
        inside=rf"^(?:\s+|[-*]\s*){_PAIRED}\s*[:=]\s*{_NUMBER}\s*$",
        lands="before",
        split="val",
        rest=False,
    ),
)  # fmt: skip
"""In the order in which they are tried."""
