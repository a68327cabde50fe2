"""The command line of the recipe, `python -m assistant.training`: from data and training to the card and the probe."""

import argparse
import json
from pathlib import Path


def _data(options: argparse.Namespace) -> None:
    from assistant.training.dataset import Amounts, build

    amounts = Amounts(dialogues=options.dialogues)
    summary = build(
        options.out, options.data, options.seed, options.vocabulary, amounts, vocabulary_file=options.vocabulary_file
    )
    print(json.dumps({key: value for key, value in summary.items() if key != "sources"}, indent=1))


def _train(options: argparse.Namespace) -> None:
    from assistant.training.model import Shape
    from assistant.training.trainer import Run, train

    summary = json.loads((options.data / "data.json").read_text())
    shape = Shape(vocabulary=summary["vocabulary"], width=options.width, layers=options.layers)
    train(
        Run(
            data=options.data,
            out=options.out,
            shape=shape,
            steps=options.steps,
            minutes=options.minutes,
            rows_per_worker=options.rows,
            workers=options.workers,
            seed=options.seed,
            peak=options.peak,
            compiled=not options.eager,
            checkpoint_minutes=options.checkpoint_minutes,
        )
    )


def _grow(options: argparse.Namespace) -> None:
    import shutil

    import torch

    from assistant.training.growth import deepened, grown_checkpoint, with_vocabulary
    from assistant.training.trainer import CHECKPOINT_FILE
    from assistant.training.vocabulary import read_vocabulary

    saved = torch.load(options.run / CHECKPOINT_FILE, weights_only=True)
    weights, vocabulary = saved["weights"], options.run / "vocab.txt"
    if options.vocabulary_file:
        old, new = read_vocabulary(vocabulary), read_vocabulary(options.vocabulary_file)
        weights, vocabulary = with_vocabulary(weights, old, new), options.vocabulary_file
    if options.layers:
        weights = deepened(weights, options.layers)
    options.out.mkdir(parents=True)
    shutil.copyfile(vocabulary, options.out / "vocab.txt")
    torch.save(grown_checkpoint(saved, weights), options.out / CHECKPOINT_FILE)


def _finish(options: argparse.Namespace) -> None:
    from assistant.training.model import Shape
    from assistant.training.trainer import Run, finish

    run = json.loads((options.run / "run.json").read_text())
    finish(
        options.run,
        Run(
            data=options.data,
            out=options.out,
            shape=Shape(**{**run["shape"], "lora_ranks": tuple(run["shape"]["lora_ranks"])}),
            rows_per_worker=run["rows_per_worker"],
            workers=options.workers,
            seed=run["seed"],
            peak=run["peak"],
            compiled=not options.eager,
            decay_steps=options.steps,
            rounded=options.rounded,
        ),
    )


def _average(options: argparse.Namespace) -> None:
    from assistant.training.average import average

    average(options.run, options.out, options.share)


def _export(options: argparse.Namespace) -> None:
    from assistant.training.export import export

    print(json.dumps(export(options.run, options.data, options.out), indent=1))


def _card(options: argparse.Namespace) -> None:
    from assistant.evaluation.command import make_backend
    from assistant.evaluation.talker import Talker
    from assistant.evaluation.transcripts import transcripts
    from assistant.models.store import Store
    from assistant.training.card import read_evaluations, read_metrics, write_card

    talker = Talker(make_backend("auto"), Store().open(options.model, options.precision))
    evaluations, sealed = read_evaluations(options.evaluation), read_evaluations(options.sealed)
    options.out.write_text(write_card(read_metrics(options.metrics), evaluations, transcripts(talker), sealed))


def _lexicon(options: argparse.Namespace) -> None:
    from assistant.training.moods import train_lexicon

    print(json.dumps(train_lexicon(options.data, options.rated, options.out, options.seed), indent=1))


def _probe(options: argparse.Namespace) -> None:
    from assistant.training.moods import train_probe

    found = train_probe(options.model, options.data, options.rated, options.out, options.seed, options.workers)
    print(json.dumps(found, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m assistant.training", description=__doc__)
    commands = parser.add_subparsers(required=True)

    data = commands.add_parser("data", help="write the vocabulary and the packed rows")
    data.add_argument(
        "--data", type=Path, help="folder of the permissive data sets; without it only the grammar is used"
    )
    data.add_argument("--out", type=Path, required=True)
    data.add_argument("--vocabulary", type=int, default=4096)
    data.add_argument(
        "--vocabulary-file", type=Path, help="keep to these tokens: those of a run that will read the data"
    )
    data.add_argument("--dialogues", type=int, default=120_000)
    data.add_argument("--seed", type=int, default=0)
    data.set_defaults(run_command=_data)

    train = commands.add_parser("train", help="train, or go on from the checkpoint in --out")
    train.add_argument("--data", type=Path, required=True, help="what `data` wrote")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--steps", type=int, default=0, help="stop at this step of the run")
    train.add_argument("--minutes", type=float, default=0.0, help="stop after so long; a signal stops it as well")
    train.add_argument("--width", type=int, default=192)
    train.add_argument("--layers", type=int, default=6)
    train.add_argument("--rows", type=int, default=8, help="rows of 256 tokens per worker and step")
    train.add_argument("--workers", type=int, default=2, help="one-thread processes")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--peak", type=float, default=1.0, help="share of the peak learning rates")
    train.add_argument("--checkpoint-minutes", type=float, default=4.0)
    train.add_argument("--eager", action="store_true", help="do not compile")
    train.set_defaults(run_command=_train)

    grow = commands.add_parser("grow", help="branch a run of a larger model off a run; then `train` into --out")
    grow.add_argument("--run", type=Path, required=True, help="the folder `train` wrote; it is only read")
    grow.add_argument("--out", type=Path, required=True, help="a new folder")
    grow.add_argument("--vocabulary-file", type=Path, help="the vocabulary of the data that will be read")
    grow.add_argument("--layers", type=int, help="so many instead; the new ones change nothing at first")
    grow.set_defaults(run_command=_grow)

    finish = commands.add_parser("finish", help="branch a decayed model off a run")
    finish.add_argument("--run", type=Path, required=True, help="the folder `train` wrote; it is only read")
    finish.add_argument("--data", type=Path, required=True)
    finish.add_argument("--out", type=Path, required=True)
    finish.add_argument("--steps", type=int, required=True, help="a tenth to a fifth of the run's steps is usual")
    finish.add_argument("--rounded", action="store_true", help="let the forward pass see int8 and int4 weights")
    finish.add_argument("--workers", type=int, default=2)
    finish.add_argument("--eager", action="store_true", help="do not compile")
    finish.set_defaults(run_command=_finish)

    average = commands.add_parser("average", help="the mean of several finished models of one run")
    average.add_argument("--run", type=Path, action="append", required=True, help="a finished model; give it again")
    average.add_argument("--share", type=float, action="append", default=[], help="one for each --run; default: equal")
    average.add_argument("--out", type=Path, required=True, help="a new folder")
    average.set_defaults(run_command=_average)

    export = commands.add_parser("export", help="write model.pth, model.bf16.pth, vocab.txt and the metrics")
    export.add_argument("--run", type=Path, required=True, help="the folder `train` wrote")
    export.add_argument("--data", type=Path, required=True, help="the folder `data` wrote")
    export.add_argument("--out", type=Path, required=True)
    export.set_defaults(run_command=_export)

    card = commands.add_parser(
        "card", help="write the model card from the numbers of export and `assistant eval --json`"
    )
    card.add_argument("--model", required=True, help="name in the store, for the dialogues")
    card.add_argument("--precision", default="int8")
    card.add_argument("--metrics", type=Path, required=True, help="metrics.json of `export`")
    card.add_argument("--evaluation", type=Path, required=True, help="JSON of `assistant eval MODEL --json`")
    card.add_argument("--sealed", type=Path, help="the same with --sealed")
    card.add_argument("--out", type=Path, required=True)
    card.set_defaults(run_command=_card)

    from assistant.mood.lexicon import LEXICON_FILE

    rated = "folder of the rated sets in VADER's source package (hutto_ICWSM_2014)"
    lexicon = commands.add_parser("lexicon", help="learn what words say of a mood; probes are fitted beside it")
    lexicon.add_argument("--out", type=Path, default=LEXICON_FILE)
    lexicon.set_defaults(run_command=_lexicon)
    probe = commands.add_parser("probe", help="fit the read-out of moods of one model in the store")
    probe.add_argument("--model", default="embedded")
    probe.add_argument("--out", type=Path, help="default: beside the model")
    probe.add_argument("--workers", type=int, default=2, help="one-thread processes")
    probe.set_defaults(run_command=_probe)
    for command in (lexicon, probe):
        command.add_argument("--data", type=Path, required=True, help="folder with goemotions/")
        command.add_argument("--rated", type=Path, required=True, help=rated)
        command.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    chosen = _parser().parse_args()
    chosen.run_command(chosen)
