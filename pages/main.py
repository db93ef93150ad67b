"""The frame around every page: title, navigation, language and city switchers, what the address bar says.

Streamlit runs this file at every rerun of every page, then the page that was chosen.
"""

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the folder of this file is put on the path by Streamlit, not the one above it
    sys.path.insert(0, str(ROOT))

from pages.ui import components, language, state  # noqa: E402
from pages.ui.language import t  # noqa: E402

# A picture of our own: the icon of an emoji or a material symbol would be fetched from an outside host.
ICON = str(ROOT / "pages" / "ui" / "icon.png")

# File, English title, icon; a page that is not there yet is not shown.
PAGES = (
    ("overview", "Overview", ":material/home:"),
    ("activity_map", "Activity map", ":material/map:"),
    ("predict", "Predict", ":material/travel_explore:"),
    ("compare", "Compare", ":material/compare_arrows:"),
    ("ablation", "Ablation", ":material/science:"),
    ("data", "Data", ":material/database:"),
)


def main() -> None:
    """Draw the frame and run the chosen page."""
    asked = state.incoming()
    language.choose(asked.get(language.LANG))
    st.set_page_config(page_title=t("Zhengzhou Fusion"), page_icon=ICON, layout="wide")
    shown = [page for page in PAGES if (ROOT / "pages" / f"{page[0]}.py").is_file()]
    page = st.navigation(
        [
            st.Page(f"{name}.py", title=t(title), icon=icon, url_path=name, default=index == 0)
            for index, (name, title, icon) in enumerate(shown)
        ]
    )
    components.apply_style()
    state.enter(page.url_path)
    with components.guard():
        state.restore(asked)
    with st.sidebar:
        components.city_switcher()
        language.switcher()
    with components.guard():
        page.run()
    state.save()


main()
