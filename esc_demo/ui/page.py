"""The page as a whole: `build_app` makes it, `serve` puts it on a port."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import suppress
from pathlib import Path

import gradio as gr
from starlette.routing import Mount

from annotations import Store
from esc_demo.contexts.keypos import warm_up as warm_up_tagger
from esc_demo.errors import ConfigError, EscError
from esc_demo.models.registry import ModelRegistry
from esc_demo.settings import Settings
from esc_demo.ui.about import build_about
from esc_demo.ui.admin import build_admin
from esc_demo.ui.admin_login import Logins
from esc_demo.ui.compare import build_compare
from esc_demo.ui.header import NAME, header_html
from esc_demo.ui.html import plain_html
from esc_demo.ui.ratings_tab import build_ratings, leave_with
from esc_demo.ui.results import build_results
from esc_demo.ui.studies import build_studies
from esc_demo.ui.study import study_app
from esc_demo.ui.theme import calm_theme
from esc_demo.ui.train import build_train

_HERE = Path(__file__).parent

DOWNLOAD_S = 3600
"""How long gradio keeps its copy of an offered file; exported answers must not lie about."""


def build_app(settings: Settings, store: Store, registry: ModelRegistry) -> gr.Blocks:
    """The page over an open store and a registry of models, which may still be loading.

    Raises:
        ConfigError: `settings.region` is unknown.
    """
    with gr.Blocks(
        title=f"{NAME}: emotional-support models compared",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(DOWNLOAD_S, DOWNLOAD_S),
    ) as page:
        logins = Logins(settings.admin_password)
        plain_html(header_html(settings.region, settings.scripted), elem_id="header")
        with gr.Tabs(elem_classes="esc-tabs"):
            with gr.Tab("Compare"):
                compare = build_compare(page, settings, store, registry)
            if settings.train_tab:
                with gr.Tab("Train") as train_tab:
                    build_train(page, train_tab, registry, compare)
            with gr.Tab("Results") as results_tab, gr.Tabs(elem_classes="esc-parts"):
                with gr.Tab("Automatic scores"):
                    build_results(page, results_tab, settings)
                with gr.Tab("Ratings") as ratings_tab:
                    ratings = build_ratings((results_tab, ratings_tab), store, settings, logins)
            with gr.Tab("Study") as study_tab:
                build_studies(study_tab, store)
            with gr.Tab("Admin"):
                leave_with(ratings, build_admin(store, settings, logins))
            with gr.Tab("About"):
                build_about(registry.catalogue)
    return page


def serve(page: gr.Blocks, settings: Settings, store: Store, registry: ModelRegistry) -> None:
    """Answer on the configured address and return; `page.block_thread()` waits for the end.

    The rater's page is served at `/study`, from the same process and apart from Gradio.

    Raises:
        ConfigError: the port is taken or the address is not ours.
    """
    _check_port(settings.host, settings.port)
    style = (_HERE / "style.css").read_text("utf-8")
    script = (_HERE / "page.js").read_text("utf-8")
    page.queue(default_concurrency_limit=8)
    raters = study_app(store, registry, settings.region)
    page.launch(
        # Routes given here come before those of Gradio, which would answer any address.
        app_kwargs={"routes": [Mount("/study", app=raters)]},
        server_name=settings.host,
        server_port=settings.port,
        share=False,
        quiet=True,
        ssr_mode=False,
        prevent_thread_lock=True,
        max_threads=80,
        footer_links=[],
        theme=calm_theme(),
        # In the head, because the `css` option rewrites selectors.
        head=f"<style>{style}</style><script>{script}</script>",
    )
    print(f"Open http://{settings.host}:{settings.port} in a browser. Ctrl+C ends it.", flush=True)


def warm_up() -> None:
    """Load the tagger of KeyPOS behind the page's back; without it, the panes say so on use."""

    def work() -> None:
        with suppress(EscError):
            warm_up_tagger()

    threading.Thread(target=work, name="tagger", daemon=True).start()


def _check_port(host: str, port: int) -> None:
    """Refuse a taken port in one clear line, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"Port {port} on {host} is taken. Stop the other program, or choose another"
                    f" port, for example ESC_PORT={port % 65535 + 1}."
                ) from error
            raise ConfigError(
                f"Cannot listen on {host}:{port} ({error.strerror or error}). Set ESC_HOST and"
                " ESC_PORT to an address of this machine and a free port."
            ) from error
