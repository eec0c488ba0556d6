"""From a customer register to estimates that carry the sample design: size, selection, weights, estimation, mode."""
