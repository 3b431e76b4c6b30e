"""What the imaginary provider sells: sizes, regions, images.

Sources: the specification's lists, and FACTS.md (section "Sizes, images, regions") for today's prices; an hour costs
a month's price / 672 there. Sizes that FACTS.md gives without numbers follow the public droplet price page.
"""

from dataclasses import dataclass

from environments.localcloud.model import Droplet


@dataclass(frozen=True)
class Size:
    """A droplet size: MB of memory, GB of disk, TB of transfer, US dollars."""

    slug: str
    memory: int
    vcpus: int
    disk: int
    transfer: float
    price_monthly: float

    @property
    def price_hourly(self) -> float:
        """US dollars, as the API rounds them."""
        return round(self.price_monthly / 672, 5)


@dataclass(frozen=True)
class Region:
    """A place. One that is not available takes no new droplets or volumes."""

    slug: str
    name: str
    available: bool = True
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Image:
    """A public image to boot from; `min_disk` in GB."""

    id: int
    slug: str
    name: str
    distribution: str
    created_at: str
    min_disk: int
    size_gigabytes: float


SIZES = {
    size.slug: size
    for size in (
        Size("s-1vcpu-512mb-10gb", 512, 1, 10, 0.5, 4.0),
        Size("s-1vcpu-1gb", 1024, 1, 25, 1.0, 6.0),
        Size("s-1vcpu-2gb", 2048, 1, 50, 2.0, 12.0),
        Size("s-2vcpu-2gb", 2048, 2, 60, 3.0, 18.0),
        Size("s-2vcpu-4gb", 4096, 2, 80, 4.0, 24.0),
        Size("s-4vcpu-8gb", 8192, 4, 160, 5.0, 48.0),
    )
}

REGIONS = {
    region.slug: region
    for region in (
        Region("nyc1", "New York 1"),
        Region("nyc2", "New York 2", available=False),
        Region("nyc3", "New York 3"),
        Region("sfo1", "San Francisco 1", available=False),
        Region("sfo3", "San Francisco 3"),
        Region("ams3", "Amsterdam 3"),
        Region("fra1", "Frankfurt 1"),
        Region("lon1", "London 1"),
        Region("sgp1", "Singapore 1"),
        Region("blr1", "Bangalore 1"),
        Region("syd1", "Sydney 1"),
        Region("tor1", "Toronto 1", lacks=frozenset({"s-1vcpu-512mb-10gb"})),
    )
}

IMAGES = {
    image.id: image
    for image in (
        Image(155133621, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu", "2024-04-26T16:37:28Z", 7, 0.6),
        Image(129211873, "ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu", "2023-03-14T20:54:05Z", 7, 0.65),
        Image(139080592, "debian-12-x64", "12 x64", "Debian", "2023-08-11T15:22:11Z", 7, 0.51),
    )
}


def region_has(region: Region, size: Size) -> bool:
    """Whether a size can be had in a region."""
    return region.available and size.slug not in region.lacks


def disk_of(droplet: Droplet) -> int:
    """GB of a droplet's disk, which may have been left behind by a resize of the rest."""
    return droplet.disk or SIZES[droplet.size].disk


def find_image(wanted: object) -> Image | None:
    """The public image with this id (an integer) or slug, or None."""
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        return IMAGES.get(wanted)
    return next((image for image in IMAGES.values() if image.slug == wanted), None)
