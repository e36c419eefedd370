"""How `tetkik caption train --plan` shows what a training needs and how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tetkik.cli.console import note, out, print_line, t, warn
from tetkik.cli.tables import bullet, table

if TYPE_CHECKING:
    from tetkik.lab.caption.training.plan import Plan, Setting

_MIB, _GIB = 2**20, 2**30


def show_plan(plan: Plan) -> None:
    """What the card must hold, what the disk must hold, what to set, and the hours with their reasoning."""
    from tetkik.lab.caption.training.plan import CONTEXT

    setting = plan.setting
    _say_for_what(plan)
    rows = _rows_of(setting, CONTEXT)
    shown = table(t("on the card"), "GiB")
    for words, size in rows:
        shown.add_row(words, _size(size))
    shown.add_row(Text(t("all"), style="bold"), Text(_size(setting.total), style="bold"))
    out.print(shown)
    if plan.images is not None and plan.row_disk:
        _show_cache(plan)
    _say_what_to_set(plan)
    if plan.hours is not None:
        _say_hours(plan)
    elif plan.fits:
        note("The speed of this card is not known, so no hours are given; name it with --card.")


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


def _show_cache(plan: Plan) -> None:
    assert plan.images is not None
    shown = table(t("once, before the first epoch"), "GiB")
    shown.add_row(t("frozen weights before the cut, on the card until then"), _size(plan.images.frozen))
    shown.add_row(t("activations of 8 images"), _size(plan.images.working))
    shown.add_row(t("all, with the language model"), _size(plan.setting.first))
    features = t("image features on the disk, {each:.1f} KB an image", each=plan.row_disk / 1e3)
    shown.add_row(features, _size(plan.disk))
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


def _say_hours(plan: Plan) -> None:
    from tetkik.lab.caption.training.plan import REACHED, REACHED_MEMORY

    hours, card = plan.hours, plan.card
    assert hours is not None and card.flops is not None and card.bandwidth is not None
    out.print(t("Hours, estimated and not measured:"))
    _bullet(
        "A caption of {tokens} tokens takes {tera:.2f} TFLOP forward and backward (counted).",
        tokens=plan.rows.mean,
        tera=hours.caption_flops / 1e12,
    )
    _bullet(
        "{rows} captions at {share:.0%} (assumed) of {speed:.0f} TFLOP/s: {hours:.1f} h on one card.",
        rows=hours.rows,
        share=REACHED,
        speed=card.flops / 1e12,
        hours=hours.compute,
    )
    if hours.moved:
        _bullet(
            "Quantised weights are written out for every {captions} captions, {moved:.0f} TB in an epoch, at "
            "{share:.0%} (assumed) of {speed:.0f} GB/s: {hours:.1f} h.",
            captions=plan.setting.captions,
            moved=hours.moved / 1e12,
            share=REACHED_MEMORY,
            speed=card.bandwidth / 1e9,
            hours=hours.unpacking,
        )
    if hours.image_flops:
        _bullet(
            "The frozen part takes {tera:.2f} TFLOP an image, once: {hours:.1f} h.",
            tera=hours.image_flops / 1e12,
            hours=hours.images,
        )
    for cards in (1, 2):
        _bullet(
            "On {cards} × {card}: {epoch:.1f} h an epoch; {all:.1f} h with the features and {epochs} epochs.",
            cards=cards,
            card=card.name,
            epoch=hours.epoch(cards),
            all=hours.all(cards),
            epochs=hours.epochs,
        )


def _bullet(template: str, **values: object) -> None:
    bullet(t(template, **values))


def _size(count: int) -> str:
    return f"{count / _GIB:.2f}" if count >= 10 * _MIB else f"{count / _GIB:.4f}"
