-- number_of() catches errors in a subtransaction, which a parallel plan cannot begin: it must never run in one. Catalog only.

alter function number_of(text) parallel unsafe;
