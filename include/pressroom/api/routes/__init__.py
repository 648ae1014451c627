"""The routes, a file for each thing that they are about."""

from __future__ import annotations

from fastapi import APIRouter

from pressroom.api.routes import (
    accounts,
    automation,
    brand_contexts,
    clusters,
    content,
    failures,
    flow_items,
    flows,
    ideas,
    insights,
    jobs,
    keywords,
    ledger,
    missions,
    publications,
    sites,
    usage,
)

ROUTERS: tuple[APIRouter, ...] = (
    accounts.router,
    automation.router,
    jobs.router,
    sites.router,
    missions.router,
    flows.router,
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
    publications.router,
)
