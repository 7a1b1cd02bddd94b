"""What the tests share: a clock that stands still, engines of stores, and jobs to put in them."""
