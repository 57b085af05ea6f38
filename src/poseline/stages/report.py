"""Stage report: the HTML page and the model card."""

from __future__ import annotations

from poseline.artifacts import Layout, write_text
from poseline.artifacts.freshness import OnStale
from poseline.config import Params, dump_section
from poseline.experiments.lineage import hash_params
from poseline.report.content import keypoint_content, note_learning, pckh_content, sort_sets, tracking_content
from poseline.report.gallery import draw_gallery
from poseline.report.inputs import ReportFiles, read_files
from poseline.report.lineage import describe_origin, flat_config, list_commands
from poseline.report.page import render
from poseline.report.scores import Card, headline_cards, learning_charts, set_title
from poseline.report.summary import data_note, describe_data, describe_model, list_limits


def run(params: Params, layout: Layout, *, on_stale: OnStale = "ignore") -> dict[str, int]:
    """Write reports/index.html and reports/model_card.md; counts.

    The same files and parameters give the same bytes, whatever the commit.

    Args:
        params: the title, the number of images, and what the lineage quotes.
        layout: the project's files; nothing but files is read.
        on_stale: what to do about scores that are not those of the parameters and files as they are.

    Raises:
        ArtifactError: a file is missing or damaged.
        StaleError: a score was made by other parameters or files than those of now, and that is to be refused.
    """
    files = read_files(params, layout, on_stale=on_stale)
    cards = headline_cards(files.scores, files.sets)
    page = render_page(params, files, cards)
    write_text(layout.page.with_name("model_card.md"), render_card(params, files, cards))
    write_text(layout.page, page)
    return {"scores": len(files.scores), "bytes": len(page.encode())}


def render_page(params: Params, files: ReportFiles, cards: list[Card]) -> str:
    """The page's text."""
    count = params.report.images
    sets = sort_sets(files)
    shown = sets["keypoints"][:1] if count else []
    return render(
        "report.html.j2",
        title=params.report.title,
        summary=summarise(cards, files),
        cards=cards,
        left_out=files.left_out,
        learning=learning_charts(files.history),
        learning_note=note_learning(files),
        keypoints=[keypoint_content(files, name) for name in sets["keypoints"]],
        galleries=[
            draw_gallery(files.people, files.poses[name], dataset=name, skeleton=params.data.skeleton, count=count) for name in shown
        ],
        gallery_of=set_title(files.sets[shown[0]]) if shown else "",
        pckh=[pckh_content(files, name) for name in sets["pckh"]],
        tracking=[tracking_content(files, name, images=count, switches=params.report.switches) for name in sets["tracking"]],
        data=describe_data(files),
        lineage=describe_origin(files, params_hash=hash_params(params)),
        config=flat_config({key: value for key, value in dump_section(params).items() if key != "mlflow"}),
        commands=list_commands(store=params.mlflow.uri or "sqlite:///mlflow.db"),
    )


def render_card(params: Params, files: ReportFiles, cards: list[Card]) -> str:
    """The model card's text."""
    return render(
        "model_card.md.j2",
        name=params.mlflow.registered_model,
        model=describe_model(files, params_hash=hash_params(params)),
        data_note=data_note(params),
        splits=describe_data(files)["splits"],
        cards=cards,
        left_out=files.left_out,
        limits=list_limits(params, files),
    )


def summarise(cards: list[Card], files: ReportFiles) -> str:
    """The page in one line."""
    weights = str(files.model.get("weights_hash", "unknown"))
    return f"Weights {weights[:8]}: {len(cards)} headline numbers, each with its protocol."
