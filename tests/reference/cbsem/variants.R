# Variants of CFA and SEM in lavaan beyond the main reference files: Wishart likelihood, MLM and MLR with constrained
# means, partial invariance, full information in groups and with a design, weights and clusters in groups, correlated
# residuals, indirect effects, ties, fixed values, a saturated path model; modification indices of each.
# Run with: Rscript variants.R > variants.json   (R 4.2.2, lavaan 0.6-14, jsonlite)
suppressMessages(library(lavaan))
hs <- read.csv("../data/HolzingerSwineford1939.csv")
gaps <- read.csv("../data/HS_missing.csv")
hs$psu <- hs$id %/% 5
hs$w <- 1 + (hs$x1 > 5)
gaps[c("school", "psu", "w")] <- hs[c("school", "psu", "w")]
pd <- read.csv("../data/PoliticalDemocracy.csv")

cfa3 <- "visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9"
paths <- "textual ~ a*visual
speed ~ c*visual + b*textual
indirect := a*b
total := c + a*b"
sem3 <- paste0(cfa3, "\n", paths)
# Labels across groups would hold paths equal, so groups get none.
sem3_plain <- paste0(cfa3, "\ntextual ~ visual\nspeed ~ visual + textual")
residuals <- paste0(cfa3, "\nx1 ~~ x7\nx4 ~~ x5")
democracy <- "ind60 =~ x1 + x2 + x3
dem60 =~ y1 + y2 + y3 + y4
dem65 =~ y5 + y6 + y7 + y8
dem60 ~ a*ind60
dem65 ~ c*ind60 + b*dem60
y1 ~~ y5
y2 ~~ y4
y2 ~~ y6
y3 ~~ y7
y4 ~~ y8
y6 ~~ y8
indirect := a*b
total := c + a*b"
tied <- sub("x2 + x3", "k*x2 + k*x3", cfa3, fixed = TRUE)
fixed <- paste0(sub("x2", "0.5*x2", cfa3), "\nvisual ~~ 0*speed")
li <- c("loadings", "intercepts")
part <- c("x3~1", "x7~1", "visual=~x2")

fits <- list(
  wishart = cfa(cfa3, hs, likelihood = "wishart"),
  observed = sem(democracy, pd, information = "observed"),
  democracy = sem(democracy, pd),
  democracy_mlr = sem(democracy, pd, estimator = "MLR"),
  democracy_mlm = sem(democracy, pd, estimator = "MLM"),
  sem_mlr = sem(sem3, hs, estimator = "MLR", meanstructure = TRUE),
  sem_fiml_mlr = sem(sem3, gaps, estimator = "MLR", missing = "fiml"),
  fiml_groups = cfa(cfa3, gaps, missing = "fiml", group = "school"),
  fiml_scalar_mlr = cfa(cfa3, gaps, missing = "fiml", estimator = "MLR", group = "school", group.equal = li),
  fiml_clusters = cfa(cfa3, gaps, missing = "fiml", estimator = "MLR", cluster = "psu"),
  fiml_weights = cfa(cfa3, gaps, missing = "fiml", estimator = "MLR", sampling.weights = "w"),
  partial = cfa(cfa3, hs, group = "school", group.equal = li, group.partial = part),
  partial_mlr = cfa(cfa3, hs, estimator = "MLR", group = "school", group.equal = li, group.partial = part),
  metric_mlm = cfa(cfa3, hs, estimator = "MLM", group = "school", group.equal = "loadings"),
  scalar_mlm = cfa(cfa3, hs, estimator = "MLM", group = "school", group.equal = li),
  scalar_variance = cfa(cfa3, hs, std.lv = TRUE, group = "school", group.equal = li),
  sem_groups = sem(sem3_plain, hs, group = "school", group.equal = c(li, "regressions")),
  all_equal = sem(sem3_plain, hs, group = "school",
                  group.equal = c(li, "regressions", "residuals", "lv.variances", "means")),
  covariances_equal = cfa(residuals, hs, group = "school",
                          group.equal = c("loadings", "residual.covariances", "lv.variances", "lv.covariances")),
  tied_mlr = cfa(tied, hs, estimator = "MLR"),
  fixed = cfa(fixed, hs),
  saturated_mlr = sem("x2 ~ x1\nx3 ~ x1 + x2", hs, estimator = "MLR", fixed.x = FALSE),
  clusters_weights = cfa(cfa3, hs, estimator = "MLR", cluster = "psu", sampling.weights = "w"),
  weights_metric = cfa(cfa3, hs, estimator = "MLR", sampling.weights = "w", group = "school", group.equal = "loadings"),
  clusters_groups = cfa(cfa3, hs, estimator = "MLR", cluster = "psu", group = "school")
)

rows <- function(table, columns) {
  table <- as.data.frame(table)[, intersect(columns, names(table))]
  numeric <- sapply(table, is.numeric) & !names(table) %in% "group"
  table[numeric] <- lapply(table[numeric], signif, 11)
  list(columns = names(table), data = unname(lapply(seq_len(nrow(table)), function(i) unname(as.list(table[i, ])))))
}
out <- lapply(fits, function(f) {
  measures <- unclass(fitMeasures(f))
  kept <- grepl("^(npar|ntotal|chisq|df|pvalue|cfi|tli|rmsea|srmr|logl|aic|bic|baseline\\.(chisq|df))", names(measures))
  kept <- kept & !grepl("notclose|_|nomean|close.h0|ci.level", names(measures)) & is.finite(measures)
  indices <- modindices(f, sort. = TRUE, maximum.number = 25)
  list(
    fit = as.list(measures[kept]),
    estimates = rows(parameterEstimates(f, standardized = TRUE, remove.nonfree = FALSE),
                     c("lhs", "op", "rhs", "group", "est", "se", "std.all")),
    standardised = rows(standardizedSolution(f), c("lhs", "op", "rhs", "group", "est.std", "se")),
    indices = if (nrow(indices)) rows(indices, c("lhs", "op", "rhs", "group", "mi", "epc", "sepc.all")) else NULL,
    candidates = nrow(modindices(f))
  )
})
meta <- list(source = paste("R lavaan", packageVersion("lavaan"), "-", R.version.string), script = "variants.R")
cat(jsonlite::toJSON(c(list(meta = meta), out), digits = NA, auto_unbox = TRUE, na = "null", null = "null"), "\n", sep = "")
