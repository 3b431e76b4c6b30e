"""The same two routes on FastAPI and SQLAlchemy, as little as gives the same answers: what ours is measured beside.

It verifies the same tokens, reads the same rows and gives the same JSON. It has no limits, no request ids, no access
log, no security headers and none of the contract's errors. Needs DATABASE_URL, JWT_SIGNING_KEY and
FIELD_ENCRYPTION_KEYS, and a virtual environment of its own (docs/development.md).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import jwt
import uvicorn
from cryptography.fernet import Fernet
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, ForeignKey, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, contains_eager, mapped_column, relationship

KEY = os.environ["JWT_SIGNING_KEY"]
FERNET = Fernet(base64.urlsafe_b64encode(hashlib.sha256(os.environ["FIELD_ENCRYPTION_KEYS"].encode()).digest()))
URL = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+asyncpg://", 1)
sessions = async_sessionmaker(create_async_engine(URL, pool_size=10, max_overflow=0))
app = FastAPI(openapi_url=None)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}


class User(Base):
    __tablename__ = "accounts_user"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    email: Mapped[str]
    full_name: Mapped[str | None]
    avatar_url: Mapped[str | None]
    preferred_region: Mapped[str | None]
    plan: Mapped[str]
    record_terminals: Mapped[bool]
    is_active: Mapped[bool]
    is_staff: Mapped[bool]
    is_verified: Mapped[bool]
    last_login: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Session(Base):
    __tablename__ = "accounts_session"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts_user.id"))
    revoked_at: Mapped[datetime | None]
    user: Mapped[User] = relationship()


class Template(Base):
    __tablename__ = "templates_catalog_template"
    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    default_port: Mapped[int]


class Environment(Base):
    __tablename__ = "environments_environment"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    template_id: Mapped[str] = mapped_column(ForeignKey("templates_catalog_template.name"))
    template: Mapped[Template] = relationship()
    name: Mapped[str]
    slug: Mapped[str]
    description: Mapped[str | None]
    region: Mapped[str]
    size: Mapped[str]
    image: Mapped[str]
    memory_mb: Mapped[int]
    vcpus: Mapped[int]
    disk_gb: Mapped[int]
    storage_size_gb: Mapped[int]
    environment_variables: Mapped[str]
    phase: Mapped[str]
    status_message: Mapped[str]
    progress: Mapped[int]
    installation_completed: Mapped[bool]
    install_percent: Mapped[int]
    droplet_id: Mapped[int | None] = mapped_column(BigInteger)
    volume_id: Mapped[str | None]
    cpu_percent: Mapped[float | None]
    memory_percent: Mapped[float | None]
    storage_percent: Mapped[float | None]
    billing_usd_per_hour: Mapped[float]
    billing_month_usd: Mapped[float]
    billing_since: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_activity_at: Mapped[datetime | None]


class UserOut(BaseModel):
    id: UUID
    username: str
    email: str
    full_name: str | None
    is_active: bool
    is_verified: bool
    subscription_plan: str
    created_at: datetime
    updated_at: datetime
    last_login: datetime | None
    preferred_region: str | None
    avatar_url: str | None
    record_terminals: bool
    is_admin: bool
    environment_count: int
    fullName: str | None
    isActive: bool
    isVerified: bool
    subscriptionPlan: str
    createdAt: datetime
    lastLogin: datetime | None


class EnvironmentOut(BaseModel):
    id: UUID
    name: str
    slug: str
    description: str | None
    template_id: str
    template: str
    template_name: str
    status: str
    phase: str
    status_message: str | None
    progress: int
    resource_limits: dict[str, str | None]
    resources: dict[str, str]
    environment_variables: dict[str, str]
    external_url: str | None = None
    url: str | None = None
    web_port: int
    port: int
    ssh_port: int = 22
    ssh_user: str = "devpocket"
    docker_image: str
    image: str
    droplet_id: int | None
    droplet_ip: str | None = None
    volume_id: str | None
    region: str
    size: str
    storage_size_gb: int
    installation_completed: bool
    installation: dict[str, Any]
    cpu_usage: float | None
    memory_usage: float | None
    storage_usage: float | None
    created_at: datetime
    updated_at: datetime
    last_accessed: datetime | None
    last_activity: datetime | None
    last_activity_at: datetime | None
    idle_stop_at: datetime | None = None
    last_stop_reason: str | None = None
    hibernated: bool = False
    billing: dict[str, Any]
    error: dict[str, Any] | None = None


async def database() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Database = Annotated[AsyncSession, Depends(database)]


async def signed_in(db: Database, authorization: Annotated[str, Header()]) -> User:
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), KEY, algorithms=["HS256"], leeway=10)
        wanted = Session.id == UUID(claims["sid"]), Session.user_id == UUID(claims["sub"])
    except (jwt.PyJWTError, KeyError, ValueError) as error:
        raise HTTPException(401) from error
    rows = select(Session).join(Session.user).options(contains_eager(Session.user)).where(*wanted)
    found = (await db.execute(rows)).scalar_one_or_none()
    if claims["type"] != "access_token" or found is None or found.revoked_at or not found.user.is_active:
        raise HTTPException(401)
    return found.user


Caller = Annotated[User, Depends(signed_in)]


@app.get("/api/v1/auth/me")
async def me(db: Database, user: Caller) -> UserOut:
    live = Environment.owner_id == user.id, Environment.phase != "terminated"
    count = (await db.execute(select(func.count()).select_from(Environment).where(*live))).scalar_one()
    return UserOut(
        id=user.id,
        username=user.username,
        email=user.email,
        full_name=user.full_name,
        is_active=user.is_active,
        is_verified=user.is_verified,
        subscription_plan=user.plan,
        created_at=user.created_at,
        updated_at=user.updated_at,
        last_login=user.last_login,
        preferred_region=user.preferred_region,
        avatar_url=user.avatar_url,
        record_terminals=user.record_terminals,
        is_admin=user.is_staff,
        environment_count=count,
        fullName=user.full_name,
        isActive=user.is_active,
        isVerified=user.is_verified,
        subscriptionPlan=user.plan,
        createdAt=user.created_at,
        lastLogin=user.last_login,
    )


@app.get("/api/v1/environments")
async def environments(
    db: Database, user: Caller, response: Response, limit: int = 100, offset: int = 0
) -> list[EnvironmentOut]:
    live = Environment.owner_id == user.id, Environment.phase != "terminated"
    rows = select(Environment).join(Environment.template).options(contains_eager(Environment.template)).where(*live)
    rows = rows.order_by(Environment.created_at.desc(), Environment.id.desc()).limit(limit).offset(offset)
    found = (await db.execute(rows)).scalars().all()
    if offset or len(found) == limit:
        total = (await db.execute(select(func.count()).select_from(Environment).where(*live))).scalar_one()
    else:
        total = len(found)
    response.headers["X-Total-Count"] = str(total)
    now = datetime.now(UTC)
    return [shown(row, now) for row in found]


def shown(row: Environment, now: datetime) -> EnvironmentOut:
    memory = f"{row.memory_mb // 1024}Gi" if row.memory_mb % 1024 == 0 else f"{row.memory_mb}Mi"
    resources = {"cpu": f"{row.vcpus * 1000}m", "memory": memory, "storage": f"{row.disk_gb + row.storage_size_gb}Gi"}
    began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = row.billing_month_usd if row.billing_since >= began else 0.0
    hours = max(0.0, (now - max(row.billing_since, began)).total_seconds()) / 3600
    return EnvironmentOut(
        id=row.id,
        name=row.name,
        slug=row.slug,
        description=row.description,
        template_id=row.template_id,
        template=row.template_id,
        template_name=row.template.display_name,
        status=row.phase,
        phase=row.phase,
        status_message=row.status_message or None,
        progress=row.progress,
        resource_limits={**resources, "max_instances": None},
        resources=resources,
        environment_variables=json.loads(FERNET.decrypt(row.environment_variables)),
        web_port=row.template.default_port,
        port=row.template.default_port,
        docker_image=row.image,
        image=row.image,
        droplet_id=row.droplet_id,
        volume_id=row.volume_id,
        region=row.region,
        size=row.size,
        storage_size_gb=row.storage_size_gb,
        installation_completed=row.installation_completed,
        installation={"completed": True, "progress": 100, "phase": None, "message": None, "error": None},
        cpu_usage=row.cpu_percent,
        memory_usage=row.memory_percent,
        storage_usage=row.storage_percent,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_accessed=row.last_activity_at,
        last_activity=row.last_activity_at,
        last_activity_at=row.last_activity_at,
        billing={
            "state": "active",
            "usd_per_hour": round(row.billing_usd_per_hour, 5),
            "usd_month_to_date": round(before + row.billing_usd_per_hour * hours, 4),
            "note": None,
        },
    )


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        http="httptools",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
