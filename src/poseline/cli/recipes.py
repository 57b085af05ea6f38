"""Commands about training recipes: recipe list, show, use."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from poseline.cli.app import AsJson, Commands, ParamsFile, app

recipe = typer.Typer(
    cls=Commands, help="Published training recipes: list them, show one, write one into params.yaml.", no_args_is_help=True
)
app.add_typer(recipe, name="recipe")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `poseline recipe list`.")]


@recipe.command("list")
def list_names(as_json: AsJson = False) -> None:
    """List the recipes: network, input, epochs, and the AP that the source published."""
    from poseline.recipes.catalogue import list_recipes, load_recipe

    found = [load_recipe(name) for name in list_recipes()]
    if as_json:
        print(json.dumps([one.model_dump(mode="json", include={"name", "summary", "source", "published", "reproduced"}) for one in found]))
        return
    print(f"{'name':<26} {'network':<34} {'input':>8} {'epochs':>6} {'AP':>5}  protocol")
    for one in found:
        model, published = one.params.model, one.published
        network, size = f"{model.kind} {model.backbone}", f"{model.input_wh[0]}x{model.input_wh[1]}"
        ap = f"{100 * published.ap:.1f}" if published else "-"
        protocol = published.protocol if published else "no published AP"
        print(f"{one.name:<26} {network:<34} {size:>8} {one.params.train.epochs:>6} {ap:>5}  {protocol}")
    print("\nAP: as the source published it, with its own programs and data. This project has reproduced none of them.")


@recipe.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one recipe: its source, the published AP, what deviates, and what it sets."""
    from poseline.projects.params_text import flow
    from poseline.recipes.catalogue import load_recipe

    one = load_recipe(name)
    if as_json:
        print(json.dumps({**one.model_dump(mode="json", exclude={"params"}), "claim": one.claim, "values": one.values()}))
        return
    print(f"{one.name}: {one.summary}\n  source: {one.source}\n  batch: {one.batch}\n  {one.claim}")
    if one.published:
        print(f"  the AP stands in: {one.published.stated_in}")
    for line in one.deviations:
        print(f"  deviates: {line}")
    print("\nIt sets (all else of codec, model, loss, augment and the optimisation goes to the package's default):")
    for key, value in one.own_values().items():
        print(f"  {key}: {flow(value)}")


@recipe.command()
def use(
    name: Name,
    params: ParamsFile = None,
    dry: Annotated[bool, typer.Option("--dry", help="Write nothing; show what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a recipe into params.yaml: comments and order stay, and what changes is shown."""
    from poseline.project import located
    from poseline.projects.params_text import flow
    from poseline.recipes.catalogue import load_recipe
    from poseline.recipes.use import UNSET, use_recipe

    one = load_recipe(name)
    path = params or located("params.yaml")
    changed = use_recipe(one, path, write=not dry)
    if as_json:
        print(json.dumps({"recipe": name, "file": str(path), "written": not dry, "changes": [vars(change) for change in changed]}))
        return
    for change in changed:
        print(f"  {change.key}: {UNSET if change.before == UNSET else flow(change.before)} -> {flow(change.after)}")
    print(
        f"recipe: {len(changed)} values {'would change' if dry else 'changed'} in {path}" if changed else f"recipe: {path} has it already"
    )
    print(f"  {one.claim}\n  batch: {one.batch}")
    for line in one.deviations:
        print(f"  deviates: {line}")
