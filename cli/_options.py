"""Options that several commands share: each is written once, and reads the same everywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ._output import STANDARD_OUTPUT

if TYPE_CHECKING:
    from ..compiler.frontends.frontend import Note, Unsaid
    from ..compiler.ir.graph import Setting
    from ..compiler.pipeline import Compilation
    from ..source import Place

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

COUNT = click.IntRange(min=1)
SEED = click.IntRange(0, 2**32 - 1)

json_option = click.option(
    "--json",
    "json_to",
    metavar="FILE",
    help="Write the result as JSON; - for standard output, where then nothing else goes.",
)
model_argument = click.argument("model")
program_argument = click.argument("program")
weights_option = click.option(
    "--weights", metavar="FILE", help="Begin with these parameters: .npz, .safetensors or a checkpoint, by name."
)

_SIZES = (
    click.option("--steps", type=COUNT, metavar="T", help="Time steps; unless given, the model's."),
    click.option(
        "--set",
        "sizes",
        multiple=True,
        metavar="NAME=VALUE",
        help="A setting of the network, such as width=16; unless given, its own default.",
    ),
)
"""How long and how large a network is."""

_RULE = click.option("--rule", metavar="RULE", help="Learning rule, such as sltt (`snnc list rules`); or the model's.")
_RULES = click.option(
    "--rules",
    metavar="RULE,...",
    help="Learning rules, with settings in brackets or behind a colon: bptt,sltt_k:K=2 (`snnc list rules`).",
)

_TARGET = click.option(
    "--target", default="quad", show_default=True, metavar="NAME|FILE", help="See `snnc list targets`."
)
_SHAPE = (
    click.option("--batch", type=COUNT, metavar="N", help="Samples in a training step; unless given, the model's."),
    *_SIZES,
    click.option(
        "--train", "section", metavar="FILE", help="A .snn file whose train section stands in for the model's own."
    ),
)
"""What a training step takes."""


def _mesh(_: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Columns and rows."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise click.BadParameter(f"{text} is no mesh; it is COLUMNSxROWS, such as 10x10", param=option)
    return int(found[1]), int(found[2])


_MACHINE = (
    _TARGET,
    click.option(
        "--mesh",
        callback=_mesh,
        metavar="COLUMNSxROWS",
        help="A chip of another size: a core on every place of this mesh; unless given, the target's own.",
    ),
    click.option("--cores", type=COUNT, metavar="N", help="Cores to use; unless given, all of the target."),
    *_SHAPE,
)
_TRAINING = (
    click.option("--loss", metavar="LOSS", help="Such as cross_entropy, or 'NAME(key=value)'."),
    click.option("--optimizer", metavar="OPTIMIZER", help="Such as sgd, or 'adam(lr=1e-3)'."),
    click.option("--loss-scale", metavar="X|dynamic", help="Of the backward pass; or 'dynamic(initial=1024)'."),
    click.option("--clip", metavar="CLIP", help="Of gradients: 'norm(1.0)' for all together, 'value(0.5)' for each."),
    click.option(
        "--freeze",
        multiple=True,
        metavar="NAME,...",
        help="Layers that stay as they are, or patterns of names: 'conv1,norm*'.",
    ),
)


def _density(_: click.Context, option: click.Parameter, text: str | None) -> float | str:
    """A number, checked, or the name of a file."""
    if text is None:
        return 1.0
    try:
        number = float(text)
    except ValueError:
        return text
    if not 0 <= number <= 1:
        raise click.BadParameter(f"{text} is no density; it is a number from 0 to 1, or a file", param=option)
    return number


density_option = click.option(
    "--density",
    callback=_density,
    metavar="FILE|X",
    help="How much of spikes and errors is not zero: a profile (`snnc profile`), or one number; 1 unless given.",
)

_MAPPING = (
    click.option("--dataflow", default="auto", show_default=True, metavar="auto|NAME", help="Of every layer."),
    click.option(
        "--fusion",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Whether neurons, errors and updates may take tiles where they are made.",
    ),
    click.option(
        "--objective",
        type=click.Choice(["dram", "cycles", "energy"]),
        default="dram",
        show_default=True,
        help="What mappings are chosen by: the fewest bytes of DRAM, the fewest cycles, or the least energy "
        "(uncalibrated).",
    ),
    click.option(
        "--partition",
        default="chosen",
        show_default=True,
        metavar="chosen|patches|lanes|in_turn|published",
        help="Of the cores among stages: side by side where that is quicker; also with several loops of a stage cut at "
        "once (patches), which takes longer to compile; also with stages in whichever context is free, and samples in "
        "waves (lanes), which moves more bytes; all cores for one after the other; or as published: consecutive layers "
        "fill cores, in output channels by 16.",
    ),
    click.option(
        "--overlap",
        type=click.Choice(["auto", "always", "off"]),
        default="auto",
        show_default=True,
        help="Whether a step of time begins while errors of the one before are being made: where that is quicker, or "
        "wherever it can.",
    ),
    click.option(
        "--pin",
        "pins",
        multiple=True,
        metavar="NAME.PHASE=CHOICE",
        help="Fix a decision: a dataflow, tile.LOOP=N, split=batch|rows|channels|LOOP or buffers=single|double, "
        "joined by commas.",
    ),
    density_option,
    click.option(
        "--codec",
        "codecs",
        multiple=True,
        metavar="NAME=CODEC",
        help="How a value lies in DRAM (`snnc list codecs`), as 'd.*=nonzero'; unless given, as densities decide.",
    ),
    click.option(
        "--skipping",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Whether engines leave out what is nothing but zeros, where densities tell of some.",
    ),
)
"""How statements come to the machine."""

_UNSAID = (
    click.option("--dt", type=float, metavar="X", help="Length of a time step, in the unit of a NIR file's constants."),
    click.option("--surrogate", metavar="SURROGATE", help="Of neurons whose file names none: atan, 'atan(alpha=2)'."),
    click.option(
        "--reset",
        type=click.Choice(["hard", "soft", "none"]),
        help="Of neurons whose file does not tell how they reset.",
    ),
    click.option("--detach-reset/--no-detach-reset", default=None, help="Whether gradients take the reset as given."),
    click.option(
        "--spiking",
        multiple=True,
        metavar="ACTIVATION=NEURON",
        help="Neurons in the place of an activation: 'relu=lif(decay=0.9)'.",
    ),
    click.option("--result", metavar="NAME", help="Which of the results of an ONNX file is trained."),
)
"""What files of other tools do not say."""


def _finite_rate(_: click.Context, option: click.Parameter, rate: float | None) -> float | None:
    """Wrong usage for a learning rate that is none."""
    if rate is not None and not 0 <= rate < float("inf"):
        raise click.BadParameter(f"{rate:g} is no learning rate; it is a number of at least 0", param=option)
    return rate


_RATE = (
    click.option(
        "--lr", type=float, callback=_finite_rate, metavar="X", help="Learning rate; unless given, the optimizer's."
    ),
    click.option("--schedule", metavar="SCHEDULE", help="Such as constant, cosine, or 'steps(every=10)'."),
)

_DATA = click.option("--data", required=True, metavar="DATA", help="What to train and test on (`snnc list data`).")
_DATA_WITH_RULES = click.option(
    "--data",
    metavar="DATA",
    help="What to train and test on (`snnc list data`); with --mappings or --gpu, to count one step.",
)
_DATA_OR_NONE = click.option(
    "--data", metavar="DATA", help="What to train and test on (`snnc list data`); not needed with --count-only."
)
_LENGTH = (
    click.option("--epochs", type=COUNT, metavar="N", help="Times that all samples are seen; or the model's."),
    click.option("--max-steps", type=COUNT, metavar="N", help="End after so many training steps."),
    click.option("--seed", type=SEED, metavar="S", help="Of parameters, shuffling and coding; 0 unless given."),
    *_RATE,
)

threads_option = click.option(
    "--threads",
    type=COUNT,
    metavar="N",
    help="Threads in which cores work, at most one a core; no result depends on it. Unless given, one a processor.",
)

_SPLIT = click.option(
    "--split", "part", type=click.Choice(["test", "train"]), default="test", show_default=True, help="Which samples."
)
_FROM_CHECKPOINT = click.option(
    "--checkpoint", metavar="FILE", help="Take the parameters from a checkpoint of this program."
)

_RUNNING = (
    *_LENGTH,
    click.option("--checkpoint", metavar="FILE", help="Written after every epoch, at the end and on Ctrl-C."),
    click.option("--resume", metavar="FILE", help="Go on bit for bit from a checkpoint of the same program."),
    weights_option,
    click.option("--save-weights", metavar="FILE", help="Write trained parameters: .npz or .safetensors."),
    click.option(
        "--dump",
        "dumps",
        multiple=True,
        metavar="TENSOR@STEP[=FILE]",
        help="Show a tensor after a training step (from 1), or write it to FILE, which ends in .npy.",
    ),
    threads_option,
    click.option("--trace", metavar="FILE", help="Write a timeline of a training step, for ui.perfetto.dev."),
    click.option("--check-races", is_flag=True, help="Stop at accesses that no semaphore orders (slow)."),
)


def threads_of(given: int | None) -> int:
    """What `--threads` says, or as many as there are processors that this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return given or there or 1


def _all(options: tuple[Callable[[Any], Any], ...]) -> Callable[[Function], Function]:
    return lambda function: reduce(lambda made, option: option(made), reversed(options), function)


def compiling(function: Function) -> Function:
    """The options of everything that compiles; `compile_options` takes what they hold."""
    return _all((*_MACHINE, _RULE, *_TRAINING, *_MAPPING, *_UNSAID))(function)


def evaluating(function: Function) -> Function:
    """The options of what trains and maps nothing; `compiled` takes what they hold."""
    return _all((_TARGET, *_SHAPE, _RULE, *_TRAINING, *_UNSAID))(function)


def comparing(function: Function) -> Function:
    """The options of what lays side by side one network under several rules or mappings: those of `compiling` and of
    training, once for all.

    The text of `--rules` is for `read_rules`.
    """
    shown = (*_MACHINE, _RULES, *_TRAINING, *_MAPPING, *_UNSAID, _DATA_WITH_RULES, *_LENGTH, weights_option)
    return _all(shown)(function)


def running(function: Function) -> Function:
    """The options of everything that trains."""
    return _all((_DATA, *_RUNNING))(function)


def running_or_counting(function: Function) -> Function:
    """The same of what can do without data."""
    return _all((_DATA_OR_NONE, *_RUNNING))(function)


def answering(function: Function) -> Function:
    """The options of what tests a trained program: which samples, and what `_trained.trained` takes."""
    return _all((_SPLIT, _FROM_CHECKPOINT, weights_option, threads_option))(function)


def importing(function: Function) -> Function:
    """The options of everything that reads a model and compiles nothing; `compiled` takes what they hold."""
    return _all((*_SIZES, *_UNSAID))(function)


rate = _all(_RATE)
"""The learning rate and its schedule."""


@dataclass(frozen=True)
class Dump:
    """A tensor to show after training step *step*, or to write to *file*."""

    tensor: str
    step: int
    file: str | None = None


def read_dumps(texts: tuple[str, ...]) -> tuple[Dump, ...]:
    """What `--dump` says; wrong usage where it is not TENSOR@STEP."""
    dumps: list[Dump] = []
    for text in texts:
        found = re.fullmatch(r"(?P<tensor>[^@=]+)@(?P<step>[0-9]+)(=(?P<file>.+))?", text)
        if found is None or int(found["step"]) < 1:
            raise click.BadParameter(f"{text!r} is not TENSOR@STEP, with steps from 1", param_hint="--dump")
        dumps.append(Dump(found["tensor"], int(found["step"]), found["file"]))
    return tuple(dumps)


def read_settings(texts: tuple[str, ...]) -> dict[str, Setting]:
    """What `--set` says, by name; wrong usage where it is not NAME=VALUE, or names one twice."""
    from ..compiler.ir.grammar import parse
    from ..compiler.ir.syntax import SettingList
    from ..compiler.ir.values import Wrong, setting_of
    from ..source import SourceError

    found: dict[str, Setting] = {}
    for text in texts:
        try:
            (item,) = parse(f"train {{ {text} }}", "--set").items
            assert isinstance(item, SettingList)
            ((name, written),) = item.settings
            value = setting_of(written, {})
        except (SourceError, Wrong, AssertionError, ValueError):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set") from None
        if name.text in found:
            raise click.BadParameter(f"{name.text} is given twice", param_hint="--set")
        found[name.text] = value
    return found


def read_choice(text: str, option: str) -> Setting:
    """A choice with its settings, as the language writes it: ``sgd`` or ``adam(lr=1e-3)``; wrong usage for others."""
    from ..compiler.ops.op import SettingFault, called

    try:
        choice = _read_setting(text, option)
        called(choice)
    except (SettingFault, ValueError):
        raise click.BadParameter(f"{text!r} is not NAME or NAME(key=value, ...)", param_hint=option) from None
    return choice


def read_rule(text: str, option: str = "--rule") -> Setting:
    """A learning rule with its settings: ``sltt``, ``sltt_k(K=2)``, or ``sltt_k:K=2`` as a shell likes it better."""
    found = _WITH_COLON.fullmatch(text)
    return read_choice(text if found is None else f"{found['name']}({found['settings']})", option)


def read_rules(text: str) -> tuple[Setting, ...]:
    """Learning rules with their settings, with commas between them: ``bptt,sltt_k:K=2,dfa(scale=0.5)``.

    A comma within brackets or quotes separates settings, and so does one after a colon that ``key=`` follows.
    """
    parts = [""]
    depth = 0
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|.', text, re.DOTALL):
        depth += (token in "([") - (token in ")]")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    rules: list[str] = []
    for part in parts:
        if rules and re.match(r"\s*\w+\s*=", part) and _WITH_COLON.fullmatch(rules[-1]):
            rules[-1] += f",{part}"
        else:
            rules.append(part)
    return tuple(read_rule(rule, "--rules") for rule in rules)


_WITH_COLON = re.compile(r"\s*(?P<name>\w+)\s*:(?P<settings>.*)", re.DOTALL)
"""A rule whose settings stand behind a colon."""


def read_section(path: str) -> tuple[dict[str, Setting], dict[str, Place]]:
    """The settings of the one train section in the file *path*, and their places; SourceError where there is none."""
    from pathlib import Path

    from ..compiler.frontends.frontend import read_text
    from ..compiler.ir.grammar import parse
    from ..compiler.ir.syntax import SettingList
    from ..compiler.ir.values import Wrong, places_of, setting_of
    from ..source import Place, SourceError

    text = read_text(Path(path))
    sections = [item for item in parse(text, path).items if isinstance(item, SettingList)]
    if len(sections) != 1:
        raise SourceError.at(Place(path), f"here are {len(sections)} train sections, and --train wants one")
    try:
        settings = {name.text: setting_of(written, {}) for name, written in sections[0].settings}
        return settings, places_of(sections[0])
    except Wrong as wrong:
        raise SourceError.at(wrong.place, wrong.message, text) from None


def unsaid_options(chosen: dict[str, Any]) -> Unsaid:
    """What the command line says in the place of the file; takes its options out of *chosen*."""
    from ..compiler.frontends.frontend import Unsaid

    surrogate, spiking = chosen.pop("surrogate", None), dict[str, Any]()
    for text in chosen.pop("spiking", ()):
        activation, _, neuron = text.partition("=")
        if not neuron or activation in spiking:
            told = "is given twice" if activation in spiking else "is not ACTIVATION=NEURON, such as relu=lif"
            raise click.BadParameter(f"{text!r} {told}", param_hint="--spiking")
        spiking[activation.strip()] = read_choice(neuron, "--spiking")
    dt = chosen.pop("dt", None)
    if dt is not None and not 0 < dt < float("inf"):
        raise click.BadParameter(f"{dt} is no length of a time step", param_hint="--dt")
    return Unsaid(
        dt,
        None if surrogate is None else read_choice(surrogate, "--surrogate"),
        chosen.pop("reset", None),
        chosen.pop("detach_reset", None),
        spiking,
        chosen.pop("result", None),
    )


def _read_setting(text: str, option: str) -> Setting:
    """*text* as the value of a setting; ValueError where it is none."""
    from ..compiler.ir.text import parse_setting
    from ..source import SourceError

    try:
        return parse_setting(text, option)
    except SourceError as error:
        raise ValueError(str(error)) from None


def _read_number_or_call(text: str, option: str) -> Setting:
    """``1024``, ``dynamic`` or ``norm(1.0)``; what it may be is checked with the train section."""
    try:
        return _read_setting(text, option)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number, NAME or NAME(...)", param_hint=option) from None


def train_overrides(chosen: dict[str, Any]) -> dict[str, Setting]:
    """What the command line says of the train section; takes its options out of *chosen*."""
    overrides: dict[str, Setting] = {}
    if (text := chosen.pop("rule", None)) is not None:
        overrides["rule"] = read_rule(text)
    for name in ("loss", "optimizer", "schedule"):
        if (text := chosen.pop(name, None)) is not None:
            overrides[name] = read_choice(text, f"--{name}")
    if texts := chosen.pop("freeze", ()):
        names = (name.strip() for text in texts for name in text.split(","))
        overrides["freeze"] = tuple(name for name in names if name)
    for name in ("loss_scale", "clip"):
        if (text := chosen.pop(name, None)) is not None:
            overrides[name] = _read_number_or_call(text, f"--{name.replace('_', '-')}")
    return overrides


def compiled(model: str, chosen: dict[str, Any]) -> Compilation:
    """The compilation of *model* under *chosen*, the values of `compiling`, `rate` and `--weights` by name."""
    from ..compiler.ops.op import called
    from ..compiler.pipeline import Compilation, Options

    chosen = dict(chosen)
    weights, rate = chosen.pop("weights", None), chosen.pop("lr", None)
    overrides = train_overrides(chosen)
    settings = read_settings(chosen.pop("sizes", ()))
    section = chosen.pop("section", None)
    chosen["section"], chosen["places"] = ({}, {}) if section is None else read_section(section)
    chosen["unsaid"] = unsaid_options(chosen)
    arrays = None
    if weights is not None:
        from ..runtime.weights import load

        arrays = load(weights)
    options = Options(train=overrides, weights=arrays, weights_file=weights or "", settings=settings, **chosen)
    compilation = Compilation(model, options)
    if rate is None:
        return compilation
    # The rate is a setting of the optimizer, which may stand in the file or nowhere.
    optimizer = overrides.get("optimizer") or compilation.training_options.optimizer
    name, given = called(optimizer)
    changed = (name, *{**given, "lr": rate}.items())
    return Compilation(model, replace(options, train={**overrides, "optimizer": changed}))


def tell(notes: Iterable[Note]) -> None:
    """Show notes on standard error, with the lines that they speak of."""
    from ..compiler.pipeline import with_line

    for note in notes:
        click.echo(str(with_line(note.fault)), err=True)


def one_standard_output(*paths: str | None) -> None:
    """Wrong usage where two results would go to standard output."""
    if sum(path == STANDARD_OUTPUT for path in paths) > 1:
        raise click.UsageError("only one of the results can go to standard output (-)")
