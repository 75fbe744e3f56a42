"""The top of the page: what this is, what it is not, and where help is."""

from __future__ import annotations

from html import escape

from esc_demo.safety import Region, Resource, load_resources

NAME = "Side by Side"


def header_html(region: str, scripted: bool) -> str:
    """Name, purpose, the notice with crisis resources, and the banner of the scripted mode."""
    banner = (
        '<p class="esc-banner" role="note"><b>Scripted replies.</b> No model is running; every'
        " answer is a prepared sentence.</p>"
        if scripted
        else ""
    )
    return (
        '<header class="esc-header"><div class="esc-brand"><span class="esc-logo"'
        ' aria-hidden="true"><i></i><i></i><i></i></span><div>'
        f"<h1>{NAME}</h1><p>One conversation, several versions of a support model. Change live"
        " what each remembers.</p></div></div>"
        f"{_notice(region)}</header>{danger_html(region)}{banner}"
    )


def support_html(region: str) -> str:
    """All crisis resources, those of `region` first, and when they were checked."""
    resources = load_resources()
    regions = "".join(map(_region, resources.ordered(region)))
    return (
        f'<div class="esc-regions">{regions}</div><p class="esc-meta">Checked'
        f" {escape(resources.checked)} · list version {resources.version}</p>"
    )


def _notice(region: str) -> str:
    return (
        '<div class="esc-care"><p><b>A research demo, not therapy.</b> Replies are written by'
        " software and can be wrong. What you write is stored for research by whoever runs this"
        ' page.</p><details><summary>In crisis? Find help now</summary><div class="esc-help">'
        "<p>If you or someone near you is in danger, please contact a person now.</p>"
        f"{support_html(region)}</div></details></div>"
    )


def danger_html(region: str) -> str:
    """Two ways to reach a person, legible without opening anything."""
    services = load_resources().ordered(region)[0].services[:2]
    ways = " or ".join(f"{escape(service.name)} ({_link(service)})" for service in services)
    return (
        '<p class="esc-danger" role="note" aria-label="Help in danger"><b>In danger now?</b>'
        f" {ways}</p>"
    )


def _region(region: Region) -> str:
    rows = "".join(
        f"<li><span>{escape(service.name)}</span> {_link(service)}{_small(service.note)}"
        f'<a class="esc-source" href="{escape(service.source)}" {_OUTSIDE}>source</a></li>'
        for service in region.services
    )
    return f"<section><h3>{escape(region.name)}</h3><ul>{rows}</ul></section>"


def _link(service: Resource) -> str:
    outside = "" if service.href.startswith("tel:") else _OUTSIDE
    return f'<a href="{escape(service.href)}" {outside}>{escape(service.contact)}</a>'


_OUTSIDE = 'target="_blank" rel="noopener noreferrer"'


def _small(note: str) -> str:
    return f"<small>{escape(note)}</small>" if note else ""
