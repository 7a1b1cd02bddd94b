"""The store of a running `serve`, over HTTP. `engine` has the store, `wire` what both ends speak."""
