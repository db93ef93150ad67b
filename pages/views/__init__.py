"""What the pages show, computed without Streamlit: pure view models that tests read directly."""
