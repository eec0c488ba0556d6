# Trimmed weights of the API stratified sample after raking: what is cut goes to the others in equal parts.
# Written with R 4.2.2 (2022-10-31), survey 4.1-1, Debian 12. Run in this folder: Rscript trim.R
# Output: trim.json, weights in the row order of ../data/apistrat.csv.
suppressMessages(library(survey))
data(api)
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat, fpc = ~fpc)
raked <- rake(strat, list(~stype, ~sch.wide),
              list(data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018)),
                   data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))),
              control = list(maxit = 100, epsilon = 1e-10))
number <- function(x) paste(formatC(x, digits = 17, format = "g"), collapse = ", ")
block <- function(cap) {
  d <- trimWeights(raked, upper = cap, strict = TRUE)
  sprintf('"cap_%g": {"cap": %g, "mean_api00": %s, "weights": [%s]}', cap, cap, number(coef(svymean(~api00, d))),
          number(weights(d)))
}
meta <- sprintf('"meta": {"source": "survey %s, %s"}', packageVersion("survey"), R.version.string)
writeLines(c("{", meta, ",", paste(sapply(c(44.3, 40, 32), block), collapse = ",\n"), "}"), "trim.json")
