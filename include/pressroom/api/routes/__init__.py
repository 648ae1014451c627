"""The routes, a file for each thing that they are about."""

from __future__ import annotations

from fastapi import APIRouter

from pressroom.api.routes import accounts

ROUTERS: tuple[APIRouter, ...] = (accounts.router,)
