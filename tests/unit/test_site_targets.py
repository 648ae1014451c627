"""A site's targets as its definition names them: what is wrong is said when it is applied."""

from __future__ import annotations

import pytest

from pressroom.adapters.targets.registry import HANDLERS
from pressroom.definitions.loading import read_text
from pressroom.domain.definitions import Site, SiteTarget
from pressroom.domain.publishing import UPDATES_IN_PLACE

HEAD = "kind: Site\naccount: acme\nslug: garden\nname: Garden\npublish:\n  auto_publish: true\n  targets:\n"


def problems(targets: str) -> list[str]:
    return read_text(HEAD + targets, "a.yaml")[1]


def test_targets_have_a_connection_of_their_handlers_name_unless_they_name_one() -> None:
    text = "    - to: wordpress\n    - {to: wordpress, connection: other, settings: {categories: [Tea]}}\n"
    located, wrong = read_text(HEAD + text, "a.yaml")
    assert wrong == []
    site = located[0].definition
    assert isinstance(site, Site)
    assert [target.target_name for target in site.publish.targets] == [
        "pressroom_wordpress/wordpress",
        "other/wordpress",
    ]
    assert site.publish.targets[1].settings == {"categories": ["Tea"]}
    assert site.publish.auto_publish


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (
            "    - to: wordpress\n    - to: wordpres\n",
            (
                "a.yaml:9: Site garden: publish.targets[1].to: there is no handler 'wordpres'."
                " Did you mean 'wordpress'?"
            ),
        ),
        (
            "    - to: x\n    - to: bluesky\n    - to: x\n",
            (
                "a.yaml:10: Site garden: publish.targets[2]: pressroom_x/x is a target already:"
                " give this one a connection of its own"
            ),
        ),
        (
            "    - to: x\n      conection: y\n",
            "a.yaml:9: Site garden: publish.targets[0].conection: unknown key. Did you mean 'connection'?",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_the_remedy(targets: str, expected: str) -> None:
    assert problems(targets) == [expected]


def test_a_site_publishes_nowhere_unless_it_says_so() -> None:
    plain = Site(account="acme", slug="garden", name="Garden")
    assert plain.publish.targets == []
    assert not plain.publish.auto_publish


def test_a_target_that_is_no_handler_cannot_be_changed_in_place() -> None:
    assert set(HANDLERS) >= UPDATES_IN_PLACE
    assert SiteTarget(to="x").to not in UPDATES_IN_PLACE
