"""Who somebody is: said in SETUP or with one request, by password or token; and who is refused, and told why."""
