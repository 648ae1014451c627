"""Files → definitions, and what people are told about the mistakes in them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from pressroom.definitions import loading
from pressroom.domain.definitions import Account, Site
from pressroom.domain.errors import DefinitionError

ACCOUNT = "kind: Account\nslug: acme\nname: Acme\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "a.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(DefinitionError) as caught:
        loading.load(file)
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def site(extra: str = "") -> str:
    return f"kind: Site\naccount: acme\nslug: garden\nname: Garden\n{extra}"


def test_reads_several_documents_of_several_files_sorted(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "b.yml").write_text(f"---\n{site()}---\n{site().replace('garden', 'pond')}")
    (tmp_path / "a.yaml").write_text(f"# only a comment\n---\n---\n{ACCOUNT}")
    (tmp_path / ".hidden.yaml").write_text("nonsense: [")
    (tmp_path / "notes.txt").write_text("not ours")
    found = loading.load(tmp_path)
    assert [each.definition.slug for each in found] == ["acme", "garden", "pond"]
    assert [each.line for each in found] == [4, 2, 7]


def test_times_and_words_are_not_numbers_and_booleans(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(site("language: no\nautomation: {enabled: true, time: 14:30, concurrency: 3}\n"))
    (found,) = loading.load(file)
    assert isinstance(found.definition, Site)
    assert found.definition.language == "no"
    assert found.definition.automation.time == dt.time(14, 30)
    assert found.definition.automation.enabled is True
    assert found.definition.automation.concurrency == 3


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "y", "1_000", "0b1", "12:30:00", "2026-01-02", "<<"]
)
def test_what_yaml_1_1_took_for_something_else_is_text(tmp_path: Path, word: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"kind: Account\nslug: acme\nname: {word}\nmembers: {{{word}: owner}}\n")
    (found,) = loading.load(file)
    assert isinstance(found.definition, Account)
    assert found.definition.name == word
    assert found.definition.members == {word: "owner"}


def test_an_alias_is_its_anchor(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(ACCOUNT + "members: {ann: &role owner, bob: *role}\n")
    (found,) = loading.load(file)
    assert isinstance(found.definition, Account)
    assert found.definition.members == {"ann": "owner", "bob": "owner"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (site("languge: de\n"), "a.yaml:5: Site garden: languge: unknown key. Did you mean 'language'?"),
        (
            site("automation:\n  enabled: true\n  frequenzy: daily\n"),
            "a.yaml:7: Site garden: automation.frequenzy: unknown key. Did you mean 'frequency'?",
        ),
        (
            site("automation:\n  batch_sizes:\n    contents: 3\n"),
            "a.yaml:7: Site garden: automation.batch_sizes.contents: unknown key. Did you mean 'content'?",
        ),
        (
            site("prompts:\n  content:\n    sytem: x\n"),
            "a.yaml:7: Site garden: prompts.content.sytem: unknown key. Did you mean 'system'?",
        ),
        (
            site("automation: {frequency: weakly}\n"),
            "a.yaml:5: Site garden: automation.frequency: 'weakly' is not possible. Did you mean 'weekly'?",
        ),
        (
            ACCOUNT + "members:\n  ann: owner\n  bob: edtor\n",
            "a.yaml:6: Account acme: members.bob: 'edtor' is not possible. Did you mean 'editor'?",
        ),
        ("kind: Sit\nslug: x\n", "a.yaml:1: kind: 'Sit' is not known. Did you mean 'Site'?"),
        ("\nslug: x\n", "a.yaml:2: kind: is missing. Valid: Account, BrandContext, Flow, Mission, Site"),
        ("- a\n", "a.yaml:1: a definition is a mapping that starts with kind:"),
        ("kind: Account\nslug: acme\n", "a.yaml:1: Account acme: name: is missing"),
        (ACCOUNT + "name: Twice\n", "a.yaml:4: name: given twice, first in line 3"),
        (
            "kind: Account\nslug: 2024\nname: x\n",
            "a.yaml:2: Account 2024: slug: must be text: put 2024 in quotes",
        ),
        (
            "kind: Account\nslug: Acme Inc\nname: x\n",
            "a.yaml:2: Account Acme Inc: slug: 'Acme Inc' must be lower-case letters, digits and",
        ),
        (
            site("automation:\n  timezone: Europe/Berln\n"),
            "a.yaml:6: Site garden: automation.timezone: 'Europe/Berln' is not an IANA time zone",
        ),
        (
            site("automation:\n  concurrency: many\n"),
            "a.yaml:6: Site garden: automation.concurrency: must be a valid integer, unable to parse string",
        ),
        (
            site("prompts:\n  content:\n    user: |\n      one\n      {{ two\n"),
            "a.yaml:9: Site garden: prompts.content.user: unexpected end of template",
        ),
        (
            site("prompts:\n  content:\n    user: Write {{ titel }}\n"),
            "a.yaml:7: Site garden: prompts.content.user: line 1 of the template: unknown variable 'titel'",
        ),
        (
            ACCOUNT + "prompts:\n  ideas:\n    system: |\n      Short.\n\n      {{ clustre }}\n",
            "a.yaml:9: Account acme: prompts.ideas.system: unknown variable 'clustre'. Did you mean 'cluster",
        ),
        (
            ACCOUNT + "prompts:\n  contents: {user: x}\n",
            "a.yaml:5: Account acme: prompts.contents: unknown key. Did you mean 'content'?",
        ),
        ("a: &x [*x]\n", "a.yaml:1: an alias that contains itself"),
        ("[" * 5000, "a.yaml: nested too deeply"),
        ("[" * 40 + "]" * 40, "a.yaml:1: nested too deeply"),
        ("1" * 5000, "a.yaml:1: a number of too many digits"),
        ("\n1." + "1" * 5000, "a.yaml:2: a number of too many digits"),
        (ACCOUNT + "caps: {run_cents: .inf}\n", "a.yaml:4: .inf is not a number that can be used here"),
        ("a: 1e999\n", "a.yaml:1: 1e999 is not a number that can be used here"),
        ("a: !!int ten\n", "a.yaml:1: 'ten' is not of the type int that its tag says"),
        ("a: !!bool maybe\n", "a.yaml:1: 'maybe' is not of the type bool that its tag says"),
        ("a: !secret:str x\n", "a.yaml:1: the tag !secret:str is not understood here"),
        ("? [a, b]\n: 1\n", "a.yaml:1: a key must be text"),
        (
            "kind: !!python/name:os.system\n",
            "a.yaml:1: the tag tag:yaml.org,2002:python/name:os.system is not",
        ),
    ],
)
def test_a_problem_names_file_line_key_and_the_nearest(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(problem)


def test_prompts_and_targets_are_checked_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        site("prompts:\n  post:\n    user: |\n      {{ titel }}\npublish:\n  targets:\n  - to: wordpres\n"),
    )
    assert [problem.partition(": ")[0] for problem in found] == ["a.yaml:8", "a.yaml:11"]


def test_text_that_is_not_yaml_names_its_line(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, ACCOUNT + "members: [\n")
    assert found.startswith("a.yaml:5: not YAML: ")


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{site('a: 1')}\n---\n{site('b: 1')}\n")
    (tmp_path / "b.yaml").write_bytes(b"kind: \xff\n")
    (tmp_path / "c.yaml").write_text("kind: x")
    with pytest.raises(DefinitionError) as caught:
        loading.load(tmp_path)
    assert [problem.rsplit("/", 1)[-1][:6] for problem in caught.value.problems] == [
        "a.yaml",
        "a.yaml",
        "b.yaml",
        "c.yaml",
    ]


def test_a_slug_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{ACCOUNT}---\n{site()}")
    (tmp_path / "b.yaml").write_text(site().replace("acme", "other"))
    with pytest.raises(DefinitionError) as caught:
        loading.load(tmp_path)
    (problem,) = caught.value.problems
    assert problem == f"{tmp_path}/b.yaml:3: Site garden: slug: defined already in {tmp_path}/a.yaml:5"


def test_brands_of_two_accounts_may_share_a_slug(tmp_path: Path) -> None:
    brand = "kind: BrandContext\naccount: acme\nslug: main\nname: x\n"
    (tmp_path / "a.yaml").write_text(f"{brand}---\n{brand.replace('acme', 'other')}")
    assert len(loading.load(tmp_path)) == 2


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"holds no \.yaml file"):
        loading.load(tmp_path)
    with pytest.raises(DefinitionError, match="no such file"):
        loading.load(tmp_path / "missing")


def test_aliases_that_multiply_cost_nothing(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 20)]
    (problem, *_) = problems(tmp_path, ACCOUNT + "l0: &l0 [x]\n" + "".join(levels))
    assert problem.startswith("a.yaml:4: Account acme: l0: unknown key")
