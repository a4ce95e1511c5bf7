"""The same work in other libraries, written as an expert in each library would."""
