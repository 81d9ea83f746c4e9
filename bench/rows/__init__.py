"""The rows of the table: each module measures one scene, which is one or more rows on the same servers."""
