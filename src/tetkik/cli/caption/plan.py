"""How `tetkik caption train --plan` shows what a training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tetkik.cli.console import note, out, print_line, show_notice, t, warn
from tetkik.cli.tables import table
from tetkik.errors import OutputError

if TYPE_CHECKING:
    from tetkik.lab.caption.training.plan import CachePlan, EvaluationPlan, Plan, Setting
    from tetkik.lab.caption.training.plan_memory import PassMemory

_MIB, _GIB = 2**20, 2**30


def show_plan(plan: Plan, evaluation: EvaluationPlan | None = None) -> None:
    """What the card must hold, what the disk must hold, and what to set.

    Raises:
        OutputError: the image features are all to be written, and do not fit the disk.
    """
    from tetkik.lab.caption.training.plan import CONTEXT

    setting = plan.setting
    _say_for_what(plan)
    rows = _rows_of(setting, CONTEXT)
    shown = table(t("on the card"), "GiB")
    for words, size in rows:
        shown.add_row(words, _size(size))
    shown.add_row(Text(t("all"), style="bold"), Text(_size(setting.total), style="bold"))
    out.print(shown)
    if plan.images is not None and plan.cache is not None:
        _show_cache(plan, plan.images, plan.cache)
    _say_what_to_set(plan)
    if evaluation is not None:
        _show_evaluation(evaluation, CONTEXT)
    if plan.cache is not None:
        _check_room(plan.cache)


def _check_room(cache: CachePlan) -> None:
    try:
        cache.check()
    except OutputError as error:
        if cache.certain:
            raise
        warn(error.template, **error.values)


def _say_for_what(plan: Plan) -> None:
    options, rows = plan.setting.options, plan.rows
    note(
        "{base}, {numbers}, on {card} with {memory:.1f} GiB; captions of at most {longest} tokens, {mean} in "
        "the mean.",
        base=options.base,
        numbers=plan.precision.value,
        card=plan.card.name,
        memory=plan.card.memory / _GIB,
        longest=rows.longest,
        mean=rows.mean,
    )
    if not rows.known:
        note("No prepared folder was named, so ROCOv2 is planned for: {train} rows.", train=rows.train)


def _rows_of(setting: Setting, context: int) -> list[tuple[str, int]]:
    step = setting.step
    frozen = [(t("frozen weights in {numbers}", numbers=name), size) for name, size in step.frozen.items()]
    return [
        *frozen,
        (t("weights that learn ({count:.2f} million, fp32)", count=step.weights / 1e6), step.learned),
        (t("their gradients"), step.gradients),
        (t("state of the optimiser"), step.optimizer),
        (t("image features and tokens of {captions} captions", captions=setting.captions), step.batch),
        (t("activations, and weights written out to be multiplied"), step.working),
        ("  " + t("of these the logits of the captions"), min(step.logits, step.working)),
        (t("gaps between tensors (5% of these)"), setting.lost),
        *([] if setting.options.cache_features else [(t("frozen part before the cut"), setting.before)]),
        (t("CUDA and its libraries"), context),
    ]


def _show_cache(plan: Plan, images: PassMemory, cache: CachePlan) -> None:
    show_notice(cache.place)
    shown = table(t("once, before the first epoch"), "GiB")
    shown.add_row(t("frozen weights before the cut, on the card until then"), _size(images.frozen))
    shown.add_row(t("activations of 8 images"), _size(images.working))
    shown.add_row(t("all, with the language model"), _size(plan.setting.first))
    features = t(
        "image features on the disk, {images} x {each:.1f} KB", images=cache.images, each=cache.each / 1e3
    )
    shown.add_row(features, _size(cache.size))
    shown.add_row(t("free on the disk of {folder}", folder=cache.folder), _size(cache.free))
    out.print(shown)


def _say_what_to_set(plan: Plan) -> None:
    setting = plan.setting
    if plan.fits:
        print_line("It fits: {settings}", settings=_flags(setting))
        return
    warn(
        "It does not fit: one caption at a time needs {needed:.1f} GiB, and {card} has {memory:.1f}.",
        needed=setting.most / _GIB,
        card=plan.card.name,
        memory=plan.card.memory / _GIB,
    )
    if plan.nearest is None:
        warn("No other setting of this base was found that fits; choose a smaller base or a larger card.")
        return
    print_line(
        "This would fit, with {needed:.1f} GiB: {settings}",
        needed=plan.nearest.most / _GIB,
        settings=_flags(plan.nearest),
    )


def _flags(setting: Setting) -> str:
    """The options of the command, as they are typed."""
    options = setting.options
    words = [f"--batch-size {options.batch_size}", f"--accumulation {options.accumulation}"]
    if options.quantisation != "none":
        words.append(f"--quantisation {options.quantisation.value}")
    if options.checkpointing:
        words.append("--checkpointing")
    return " ".join(words)


def _show_evaluation(plan: EvaluationPlan, context: int) -> None:
    shown = table(t("to judge the test split"), "GiB")
    shown.add_row(t("all weights"), _size(plan.weights))
    keys = t(
        "keys and values of the search, {captions} x {beams} beams", captions=plan.captions, beams=plan.beams
    )
    shown.add_row(keys, _size(plan.keys))
    shown.add_row(t("activations, and weights written out to be multiplied"), _size(plan.working))
    shown.add_row(t("CUDA and its libraries"), _size(context))
    shown.add_row(Text(t("all"), style="bold"), Text(_size(plan.total), style="bold"))
    out.print(shown)
    if plan.total > plan.card.memory:
        warn(
            "The test does not fit: leave out --test, and run `tetkik caption evaluate` with a smaller "
            "--batch-size or fewer --beams."
        )


def _size(count: int) -> str:
    return f"{count / _GIB:.2f}" if count >= 10 * _MIB else f"{count / _GIB:.4f}"
