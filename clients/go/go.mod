module syncgate/clients/go

go 1.24
