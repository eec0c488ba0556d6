# Raking with unequal base weights by calibrate() and by rake(), and quantiles at the ends of a scale.
# Written with R 4.2.2 (2022-11-10 r83330), survey 4.1-1, Debian 12. Run in this folder: Rscript raking_quantile.R
# The weights of the API stratified sample differ between strata. rake() and calibrate(calfun = "raking") give the same
# weights and different errors: calibrate() takes residuals from the regression weighted by the weights before, as here;
# rake() subtracts unweighted means of the margins in turn, ten times over. "se_unweighted" shows this by hand.
# Output: raking_quantile.json; comp_imp (1: Yes) and the weights in the row order of ../data/apistrat.csv.
suppressMessages(library(survey))
data(api)
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, fpc = ~fpc, data = apistrat)
wide <- data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))
imp <- data.frame(comp.imp = c("No", "Yes"), Freq = c(2000, 4194))
raked <- rake(strat, list(~sch.wide, ~comp.imp), list(wide, imp), control = list(epsilon = 1e-10, maxit = 200))
known <- c(`(Intercept)` = 6194, sch.wideYes = 5122, comp.impYes = 4194)
calibrated <- calibrate(strat, ~sch.wide + comp.imp, known, calfun = "raking", epsilon = 1e-12, maxit = 200)
written <- function(x) ifelse(is.finite(x), trimws(formatC(as.numeric(x), digits = 17, format = "g")), "null")
number <- function(x) paste0("[", paste(written(x), collapse = ", "), "]")
field <- function(name, x) sprintf('"%s": %s', name, number(x))
pair <- function(d) { m <- svymean(~api00, d); c(coef(m), SE(m)) }
w <- weights(raked)
z <- (apistrat$api00 - weighted.mean(apistrat$api00, w)) / sum(w)
e <- residuals(lm(z ~ sch.wide + comp.imp, apistrat)) * w
by_hand <- sqrt(sum(tapply(seq_along(e), apistrat$stype, function(i) {
  n <- length(i); (1 - n / apistrat$fpc[i][1]) * n / (n - 1) * sum((e[i] - mean(e[i]))^2) })))
# Answers on a scale of 1 to 10: with 52 tens in 100 the median is the top category.
answers <- function(tens) c(rep(10, tens), rep(9, 80 - tens), rep(7, 15), rep(1, 5))
q <- c(0.05, 0.25, 0.5, 0.75, 0.9)
quantiles <- function(y) {
  d <- svydesign(ids = ~1, weights = rep(20, length(y)), data = data.frame(y = y))
  r <- svyquantile(~y, d, q, qrule = "math", interval.type = "mean", df = length(y) - 1)[[1]]
  as.vector(t(r))
}
unlike <- quantiles(c(3, 5, 6, 8, 9, 11, 14, 15, 20, 41))
fields <- c(field("comp_imp", apistrat$comp.imp == "Yes"), field("weights", weights(calibrated)),
  field("calibrate", pair(calibrated)), field("rake", pair(raked)), field("se_unweighted", by_hand),
  field("q", q), field("tens_43", quantiles(answers(43))), field("tens_52", quantiles(answers(52))),
  field("constant", quantiles(rep(10, 30))), field("unlike", unlike))
meta <- sprintf('"meta": {"source": "survey %s, %s"}', packageVersion("survey"), R.version.string)
writeLines(paste0("{", paste(c(meta, fields), collapse = ",\n"), "}"), "raking_quantile.json")
