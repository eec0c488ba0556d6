# The nine tests of Holzinger and Swineford: hierarchy, splits of an even number of items, MAP.
# Run in tests/reference/reliability: Rscript hs_scales.R
# R 4.2.2, psych 2.2.9, GPArotation 2022.10-2, jsonlite
suppressMessages(library(psych))
x <- read.csv("../data/HolzingerSwineford1939.csv")[, paste0("x", 1:9)]
invisible(capture.output(o <- suppressWarnings(omega(x, nfactors = 3, fm = "minres", rotate = "oblimin", plot = FALSE))))
s <- splitHalf(x[, 1:6])
v <- vss(x, n = 8, plot = FALSE)
d <- describe(x, type = 2)
out <- list(
  omega_h = o$omega_h, omega_total = o$omega.tot,
  split = list(best = s$maxrb, worst = s$minrb, mean = s$meanr),
  map = v$map[1:7],
  skew = setNames(as.list(d$skew), rownames(d)), kurtosis = setNames(as.list(d$kurtosis), rownames(d))
)
writeLines(jsonlite::toJSON(out, digits = NA, auto_unbox = TRUE, pretty = TRUE), "hs_scales.json")
