"""Tables: readers and the data sets that come with mlmath."""
