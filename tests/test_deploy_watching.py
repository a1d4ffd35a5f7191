"""What deploy/ has for Prometheus and Grafana: every expression parses and asks for metrics and labels that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

import app

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "perch.json").read_text())
OPERATIONS_PAGE = Path(__file__).parents[1] / "docs" / "operations.md"
# What Prometheus itself, and its client library, tell of a process.
OTHERS = {"up": set[str](), "process_cpu_seconds_total": set[str](), "process_resident_memory_bytes": set[str]()}
# What Prometheus puts on whatever it scrapes, and what a histogram's buckets have.
ADDED = {"job", "instance", "le"}


def exported() -> dict[str, set[str]]:
    """The names that a scrape gives, each with its labels."""
    assert app.COMMANDS  # every room has been imported
    found = dict(OTHERS)
    for collector in set(REGISTRY._names_to_collectors.values()):
        name = str(getattr(collector, "_name", ""))
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        for ending in endings.get(str(getattr(collector, "_type", "")), [""]):
            found[name + ending] = set(getattr(collector, "_labelnames", ()))
    return found


def panels() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            yield panel


def expressions() -> Iterator[tuple[str, str]]:
    """(where, expression) of all rules and panels."""
    for group in RULES:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for rule in yaml.safe_load((DEPLOY / "prometheus" / "adapter-rule.yaml").read_text())["rules"]["external"]:
        yield rule["name"]["as"], rule["metricsQuery"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"].replace("$__rate_interval", "5m")


def selectors(expression: str) -> list[Any]:
    """The series that an expression reads."""
    found: list[Any] = []

    def note(one: Any) -> None:
        if isinstance(one, promql_parser.VectorSelector):
            found.append(one)
        elif isinstance(one, promql_parser.MatrixSelector):
            found.append(one.vector_selector)

    promql_parser.walk(promql_parser.parse(expression), note)
    return found


@pytest.mark.parametrize(("where", "expression"), [*expressions()], ids=lambda given: given[:40])
def test_every_expression_reads_series_that_exist(where: str, expression: str) -> None:
    known, read = exported(), selectors(expression)
    assert read, where
    for series in read:
        assert series.name in known, f"{where}: {series.name}"
        asked = {matcher.name for matcher in series.matchers.matchers}
        assert asked <= known[series.name] | ADDED, f"{where}: {asked}"
    grouped = {name.strip() for names in re.findall(r"\bby \(([^)]*)\)", expression) for name in names.split(",")}
    assert grouped <= set().union(*(known[series.name] for series in read)) | ADDED, where


def test_the_walk_sees_a_name_that_nobody_exports() -> None:
    read = selectors('sum by (le) (rate(perch_nothing_total{what="x"}[5m])) / perch_requests_total > 1')
    assert {series.name for series in read} == {"perch_nothing_total", "perch_requests_total"}
    assert "perch_nothing_total" not in exported()


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {series.name for _, expression in expressions() for series in selectors(expression)}
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    exported_ = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported() if name.startswith("perch_")}
    assert exported_ <= stems


def test_every_rule_says_what_to_do_and_is_in_the_operations_page() -> None:
    page = OPERATIONS_PAGE.read_text()
    for group in RULES:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert {"summary", "action"} <= set(rule["annotations"])
            assert f"`{rule['alert']}`" in page, rule["alert"]
            used = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
            assert all(label in rule["expr"] or label == "instance" for label in used), rule["alert"]


def test_panels_have_ids_places_and_legends_of_labels_that_remain() -> None:
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identities)) == len(identities)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b", target["expr"]), panel["title"]


def test_prometheus_looks_where_servers_and_workers_answer() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    assert all((DEPLOY / "prometheus" / name).exists() for name in config["rule_files"])
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
    assert {"perch-server", "perch-worker"} == set(jobs)
