"""A broadband market whose truth is known: register, surveys, complaints, visits and behaviour of the same customers."""
