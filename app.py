"""The ASGI entry: `streamlit run app.py` finds `app` and serves pages, tiles and data from one process and one port."""

import streamlit as st

from fusion.serving import routes

app = st.App("pages/main.py", routes=routes.build(st.get_option("server.baseUrlPath")))
