"""The same work in other libraries, each written as an advocate of the library would."""
