"""The routes: a file or folder for each resource."""

from __future__ import annotations

from fastapi import APIRouter

from pressroom.api.resources import (
    accounts,
    brand_contexts,
    checks,
    clusters,
    failures,
    flow_items,
    flows,
    grants,
    ideas,
    insights,
    keywords,
    ledger,
    missions,
    notices,
    operations,
    publications,
    sites,
    usage,
)
from pressroom.api.resources.automation import routes as automation
from pressroom.api.resources.content import routes as content
from pressroom.api.resources.jobs import routes as jobs
from pressroom.api.resources.outcomes import calendar, lessons, reports, results, steps
from pressroom.api.resources.review import links, pieces, queue

ROUTERS: tuple[APIRouter, ...] = (
    accounts.router,
    operations.router,
    grants.router,
    notices.router,
    automation.router,
    jobs.router,
    sites.router,
    missions.router,
    calendar.router,
    results.router,
    lessons.router,
    reports.router,
    steps.router,
    flows.router,
    checks.router,
    flow_items.router,
    failures.router,
    brand_contexts.router,
    insights.router,
    keywords.router,
    clusters.router,
    ideas.router,
    ledger.router,
    usage.router,
    content.router,
    links.router,
    queue.router,
    pieces.router,
    publications.router,
)
