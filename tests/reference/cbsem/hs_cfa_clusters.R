# Clustered and weighted samples in lavaan: the scaled tests. Run with: Rscript hs_cfa_clusters.R > hs_cfa_clusters.json
suppressMessages(library(lavaan))
d <- read.csv("../data/HolzingerSwineford1939.csv")
d$psu <- d$id %/% 5
d$w <- 1 + (d$x1 > 5)
m <- "visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9"
fits <- list(
  clusters = cfa(m, d, cluster = "psu", estimator = "MLR"),
  weights = cfa(m, d, sampling.weights = "w", estimator = "MLR"),
  weights_means = cfa(m, d, sampling.weights = "w", estimator = "MLR", meanstructure = TRUE)
)
wanted <- c("chisq", "srmr", "chisq.scaled", "chisq.scaling.factor", "baseline.chisq.scaling.factor",
            "cfi.scaled", "tli.scaled", "rmsea.scaled", "cfi.robust", "tli.robust", "rmsea.robust")
number <- function(x) sprintf("%.12g", x)
out <- sapply(names(fits), function(n) {
  f <- fits[[n]]
  s <- standardizedSolution(f)
  s <- s[s$op == "=~", ]
  v <- fitMeasures(f)
  v <- v[intersect(wanted, names(v))]
  se <- parTable(f)$se[parTable(f)$op == "=~"]
  paste0('"', n, '": {"fit": {', paste0('"', names(v), '": ', number(v), collapse = ", "),
         '}, "se_loadings": [', paste(number(se), collapse = ", "), "]}")
})
cat("{", paste(out, collapse = ",\n"), "}\n", sep = "")
